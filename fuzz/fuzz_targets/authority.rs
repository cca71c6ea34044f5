//! Whatever a client sends, how it is cut into pieces does not matter, and
//! filtering what was filtered changes nothing more.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phase_csi_provider::provider::filtered;

fuzz_target!(|bytes: &[u8]| {
    let Some((&chunk, rest)) = bytes.split_first() else {
        return;
    };
    // Half of the inputs begin as a connection does, so that frames are reached.
    let mut stream = Vec::new();
    if chunk % 2 == 0 {
        stream.extend_from_slice(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    }
    stream.extend_from_slice(rest);
    let whole = filtered(&stream, stream.len());
    assert_eq!(filtered(&stream, usize::from(chunk) + 1), whole);
    assert_eq!(filtered(&whole, whole.len()), whole);
});
