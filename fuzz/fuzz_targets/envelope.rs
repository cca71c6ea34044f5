//! Texts that nobody sealed never open, and never panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phase_csi_provider::phase::envelope;
use phase_csi_provider::phase::primitives::KeyPair;

fuzz_target!(|text: &str| {
    let pair = KeyPair::new(&[9; 32]).expect("any 32 bytes are a private key");
    assert!(envelope::open(text, &pair).is_err());
});
