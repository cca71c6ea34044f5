//! Whatever a template says and secrets hold: no panic, no hang, a bounded
//! file, and no error that tells a value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phase_csi_provider::render::format::Pair;
use phase_csi_provider::render::template::Template;
use secrecy::ExposeSecret;

/// Around the fuzzed secret, so that nothing of ours looks like it.
const CANARY: &[u8] = b"\xc2\xa4canary\xc2\xa4";
/// More than a template may make.
const TOO_MANY: usize = (4 << 20) + 1;

fuzz_target!(|input: (&str, &[u8])| {
    let (source, bytes) = input;
    let secret = [CANARY, bytes].concat();
    let large = vec![b'x'; 1 << 16];
    let pair = |key, value| Pair {
        name: key,
        key,
        value,
    };
    let pairs = [
        pair("A", &secret[..]),
        pair("B", &large),
        pair("C", b"1\n2\n3"),
        pair("a-b", b""),
    ];
    // Also within a tag, so that expressions are reached.
    let sources = [source.to_owned(), format!("{{{{ {source} }}}}")];
    for source in &sources[..1 + usize::from(!source.contains("{{"))] {
        let made = Template::parse(source).and_then(|template| template.render(&pairs));
        match made {
            Ok(file) => assert!(file.expose_secret().len() < TOO_MANY),
            Err(error) => {
                let told = format!("{error} {error:?}");
                // A template that spells the canary may be shown it.
                assert!(source.contains("canary") || !told.contains("canary"));
            }
        }
    }
});
