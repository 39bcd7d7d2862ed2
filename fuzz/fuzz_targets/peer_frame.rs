#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| peerpost_fuzz::peer_frame::run(octets));
