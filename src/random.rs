//! Where keys, nonces and ids that nobody may guess come from.

use rustix::rand::{GetRandomFlags, getrandom};

/// Random bytes of the kernel (getrandom(2), which gives up to 256 bytes whole once
/// it has been seeded): no generator of the process's own has to begin first.
pub(crate) fn random(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("the kernel has no randomness: {error}"),
        }
    }
}
