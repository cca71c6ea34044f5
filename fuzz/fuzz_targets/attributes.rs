//! The driver's attributes never panic, and a class that parses has an app.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phase_csi_provider::class::{Attributes, Class};
use phase_csi_provider::phase::allowed::AllowedHosts;
use phase_csi_provider::phase::host::Host;
use phase_csi_provider::phase::selection::AppSelector;

fuzz_target!(|text: &str| {
    let hosts = AllowedHosts::new(Host::default(), &["*"]).expect("well-formed");
    let Ok(attributes) = Attributes::parse(text) else {
        return;
    };
    match Class::parse(&attributes, &hosts) {
        Ok(class) => {
            let (AppSelector::Id(app) | AppSelector::Name(app)) = class.query.app;
            assert!(
                !app.is_empty()
                    && class
                        .layout
                        .objects
                        .iter()
                        .all(|object| (1..=0o777).contains(&object.mode))
            );
        }
        Err(error) => assert!(!error.to_string().contains("pss_service:v2:")),
    }
});
