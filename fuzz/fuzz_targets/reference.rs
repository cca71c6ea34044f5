//! References are found in order, each within the value and of its form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phase_csi_provider::phase::reference;

fuzz_target!(|value: &str| {
    let mut at = 0;
    for found in reference::find(value) {
        let text = &value[found.place.clone()];
        assert!(found.place.start >= at && text.starts_with("${") && text.ends_with('}'));
        at = found.place.end;
    }
});
