//! Classes that are made to take memory: whatever they say, reading one takes no more than
//! its price, which is far below what a node has, and what is kept of it no more than it
//! says. The answers of a Phase that lies may join them here.
#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use libfuzzer_sys::arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use phase_csi_provider::class::Class;
use phase_csi_provider::phase::allowed::AllowedHosts;
use phase_csi_provider::phase::host::Host;

/// What one input may hold, beside what libFuzzer holds itself.
const MOST: usize = 64 << 20;

/// Counts what is held, and aborts above a limit.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static HIGHEST: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

// SAFETY: every call is the system allocator's, beside which numbers are counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        HIGHEST.fetch_max(held, Ordering::Relaxed);
        if held > LIMIT.load(Ordering::Relaxed) {
            std::process::abort();
        }
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs work; what it brings, the most that was held meanwhile, and what is held after.
fn measured<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
    let before = HELD.load(Ordering::Relaxed);
    HIGHEST.store(before, Ordering::Relaxed);
    LIMIT.store(before.saturating_add(MOST), Ordering::Relaxed);
    let done = work();
    LIMIT.store(usize::MAX, Ordering::Relaxed);
    let held = |now: &AtomicUsize| now.load(Ordering::Relaxed).saturating_sub(before);
    (done, held(&HIGHEST), held(&HELD))
}

/// A text out of a few bytes: pieces of the language, each as often as the input says.
#[derive(Debug)]
struct Hostile(String);

impl<'a> Arbitrary<'a> for Hostile {
    fn arbitrary(input: &mut Unstructured<'a>) -> libfuzzer_sys::arbitrary::Result<Self> {
        const PIECES: [&str; 24] = [
            "- ", "&a ", "*a", "&b ", "*b", "[", "]", "{", "}", ", ", "\n", "\n  ", ": ", "? ",
            "secretKey: A", "objectName: f", "template: ", "\"{{ A }}\"", "include: ", "\"*a\"",
            "- {secretKey: A, objectName: f}\n", "'", "a", "|\n    x\n",
        ];
        let mut text = String::new();
        while !input.is_empty() && text.len() < 400_000 {
            let piece = *input.choose(&PIECES)?;
            let times = match input.int_in_range(0..=15)? {
                0 => 1usize << input.int_in_range(0..=16)?,
                _ => 1,
            };
            text.push_str(&piece.repeat(times.min(400_000 / piece.len())));
        }
        Ok(Self(text))
    }
}

fuzz_target!(|input: (u8, Hostile, &str)| {
    let (kind, Hostile(text), other) = input;
    let hosts = AllowedHosts::new(Host::default(), &[] as &[&str]).expect("no hosts are wrong");
    let name = ["objects", "processors", "mirror", "phaseAppEnvTag"][usize::from(kind % 4)];
    let parameters = [("phaseApp", "a"), ("phaseAppEnvPath", other), (name, &text)];
    let price = Class::reading_bytes(parameters);
    let (read, highest, held) = measured(|| Class::read(parameters, &hosts));
    // An error of two mistakes is far shorter than what it is about.
    assert!(highest <= price, "{highest} bytes were held, and {price} paid");
    if let Ok(class) = &read {
        let kept = class.bytes() + mirrors(class);
        assert!(held <= kept, "{held} bytes are kept, and {kept} said");
    }
    drop(read);
});

/// The controller's part, which no mount keeps.
fn mirrors(class: &Class) -> usize {
    let each = class.mirrors.iter().map(|mirror| {
        let maps = [&mirror.labels, &mirror.annotations];
        let texts = maps.into_iter().flatten();
        2 * size_of_val(mirror) + 512 + texts.map(|(a, b)| 256 + a.len() + b.len()).sum::<usize>()
    });
    each.sum()
}
