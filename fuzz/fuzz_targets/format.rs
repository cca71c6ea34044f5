//! Whatever values are named what, each format either refuses, or writes a file
//! that reads back the same.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use phase_csi_provider::render::format::dotenv::{Reader, inexact};
use phase_csi_provider::render::format::{Format, Pair};
use secrecy::ExposeSecret;

fuzz_target!(|bytes: &[u8]| {
    let mut pieces = bytes.split(|byte| *byte == 0xFE);
    let mut values = BTreeMap::new();
    while let (Some(name), Some(value)) = (pieces.next(), pieces.next()) {
        // Half of the names are variables', so that values are reached.
        let name = match std::str::from_utf8(name) {
            Ok(name) if name.len() % 2 == 0 => name.to_owned(),
            _ => format!("K{}", values.len()),
        };
        values.insert(name, value);
    }
    for name in Format::NAMES {
        let format = Format::parse(name).expect("its own name");
        check(format, &values);
    }
});

fn check(format: Format, values: &BTreeMap<String, &[u8]>) {
    let pair = |(name, value): (&'_ String, &&'_ [u8])| (name.clone(), value.to_vec());
    let owned: Vec<_> = values.iter().map(pair).collect();
    let pairs: Vec<_> = owned
        .iter()
        .map(|(name, value)| Pair {
            name,
            key: name,
            value,
        })
        .collect();
    let written = match format.write(&pairs) {
        Ok(written) => written,
        Err(mistakes) => {
            assert!(
                mistakes
                    .iter()
                    .all(|mistake| mistake.to_string().len() < 1000)
            );
            return;
        }
    };
    let text = std::str::from_utf8(written.expose_secret()).expect("all formats are text");
    let text_of = |value: &[u8]| String::from_utf8(value.to_vec()).expect("others are refused");
    let values = values
        .iter()
        .map(|(name, value)| (name.clone(), text_of(value)));
    let values: BTreeMap<String, String> = values.collect();
    match format {
        Format::Json => assert_eq!(
            serde_json::from_str::<BTreeMap<_, _>>(text).ok(),
            Some(values)
        ),
        Format::Toml => assert_eq!(toml::from_str::<BTreeMap<_, _>>(text).ok(), Some(values)),
        Format::Yaml => {
            assert_eq!(
                serde_saphyr::from_str::<BTreeMap<_, _>>(text).ok(),
                Some(values)
            );
        }
        Format::Dotenv => {
            let read: BTreeMap<_, _> = dotenvy::from_read_iter(text.as_bytes())
                .filter_map(Result::ok)
                .collect();
            assert!(read.keys().all(|name| values.contains_key(name)));
            for (name, value) in values {
                let exact = !inexact(&value).contains(&Reader::Dotenvy);
                assert!(!exact || read.get(&name) == Some(&value), "{text:?}");
            }
        }
        _ => {}
    }
}
