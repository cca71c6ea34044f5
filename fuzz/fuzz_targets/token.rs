//! Tokens never panic, and no error quotes one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phase_csi_provider::phase::token::Token;
use secrecy::SecretString;

fuzz_target!(|text: &str| {
    if let Err(error) = Token::parse(&SecretString::from(text)) {
        let error = error.to_string();
        // Only what could be key material: the fuzzer also finds our own words.
        let hex = |field: &&str| field.len() > 8 && field.bytes().all(|b| b.is_ascii_hexdigit());
        assert!(
            text.split(':')
                .filter(hex)
                .all(|field| !error.contains(field))
        );
    }
});
