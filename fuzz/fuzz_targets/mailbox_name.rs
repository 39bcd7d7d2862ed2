#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| peerpost_fuzz::mailbox_name::run(octets));
