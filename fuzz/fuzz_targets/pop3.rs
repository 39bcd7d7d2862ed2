#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| peerpost_fuzz::pop3::run(octets));
