//! Files of 50 and of 1,000 secrets: each format against the bare copy of the
//! same names and values, and against the opening of the same secrets.
//!
//! `cargo bench --bench render`

#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark of known data"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use phase_csi_provider::phase::environment::Secret;
use phase_csi_provider::phase::folder::Folder;
use phase_csi_provider::phase::{Answer, BadReferences, Selected, opener};
use phase_csi_provider::quota::Allowance;
use phase_csi_provider::render::format::{Format, Pair};
use phase_csi_provider::render::template::Template;
use phase_csi_provider::render::wiped::WipedBuffer;
use phase_csi_provider::render::{self, Layout, Object, Shape};
use secrecy::ExposeSecret;

#[path = "recorded/mod.rs"]
mod recorded;

use recorded::{all, recording};

const ROUNDS: usize = 9;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let recording = recording();
    for count in [50, 1000] {
        let environment = recording.environment(count);
        let open = || {
            let opened = runtime.block_on(opener::open(&Allowance::alone(), all(&environment)));
            let opened = opened.unwrap().into_iter().flatten();
            opened.map(|opened| opened.secret).collect::<Vec<_>>()
        };
        formats(&open(), &|| drop(black_box(open())));
    }
}

/// A table of each format's time, and of the slowest one's share of opening.
fn formats(secrets: &[Secret], open: &dyn Fn()) {
    let names: Vec<String> = (0..secrets.len())
        .map(|at| format!("SECRET_{at:04}"))
        .collect();
    let pairs: Vec<_> = names
        .iter()
        .zip(secrets)
        .map(|(name, secret)| pair(name, secret))
        .collect();
    let bytes: usize = pairs
        .iter()
        .map(|pair| pair.name.len() + pair.value.len())
        .sum();
    let times = 20_000 / secrets.len();
    let copy = || drop(black_box(copied(&pairs, bytes)));
    let write = |format: Format| drop(black_box(format.write(&pairs)));
    let all = Format::NAMES.map(|name| Format::parse(name).unwrap());
    // Side by side, in turns, so that a busy machine slows all.
    let answer = answer(secrets);
    let (each, template) = (layout(Shape::Each), layout(template(&names)));
    let render = |layout: &Layout| drop(black_box(render::files(&answer, layout).unwrap()));
    let (mut copies, mut opens, mut writes) = (Vec::new(), Vec::new(), vec![Vec::new(); all.len()]);
    let (mut eaches, mut templates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        opens.push(timed(1, open));
        copies.push(timed(times, &copy));
        eaches.push(timed(times, &|| render(&each)));
        templates.push(timed(times, &|| render(&template)));
        for (format, writes) in all.iter().zip(&mut writes) {
            writes.push(timed(times, &|| write(*format)));
        }
    }
    let (copy, open) = (median(copies), median(opens));
    println!(
        "{} secrets, {bytes} bytes     µs   of a copy   of opening",
        secrets.len()
    );
    row("bare copy", copy, copy, open);
    let mut slowest = Duration::ZERO;
    for (format, writes) in all.iter().zip(writes) {
        let write = median(writes);
        slowest = slowest.max(write);
        row(format.name(), write, copy, open);
    }
    let (each, template) = (median(eaches), median(templates));
    row("a mount: file each", each, copy, open);
    row("a mount: a template", template, copy, open);
    row("opened on one core", open, copy, open);
    let share = |time: Duration| time.as_secs_f64() / open.as_secs_f64();
    let whole = share((each + slowest).max(template));
    println!("slowest mount of opening    {whole:>9.3} (to stay below: 0.2)\n");
}

/// What a mount renders: the secrets under names of their own.
fn answer(secrets: &[Secret]) -> Answer {
    let named = |(at, secret): (usize, &Secret)| {
        Arc::new(Secret {
            key: format!("SECRET_{at:04}"),
            folder: Folder::root(),
            value: secret.value.clone(),
            references: 0,
        })
    };
    Answer {
        app: String::new(),
        selected: vec![Selected {
            environment: String::new(),
            secrets: secrets.iter().enumerate().map(named).collect(),
            dynamic: Vec::new(),
        }],
        kept: BadReferences::default(),
        fetched: 1,
        version_key: [1; 32].into(),
    }
}

fn layout(shape: Shape) -> Layout {
    let object = Object {
        label: None,
        folder: Folder::root(),
        mode: 0o644,
        optional: false,
        tagged: false,
        rules: Arc::default(),
        encoding: None,
        shape,
    };
    Layout {
        objects: vec![object],
        allow_empty: false,
    }
}

/// A line for each secret.
fn template(names: &[String]) -> Shape {
    let lines = names
        .iter()
        .map(|name| format!("{name}={{{{ {name} }}}}\n"));
    let source: String = lines.collect();
    Shape::Template {
        path: "file".to_owned(),
        template: Template::parse(&source).unwrap(),
    }
}

fn pair<'a>(name: &'a str, secret: &'a Secret) -> Pair<'a> {
    Pair {
        name,
        key: &secret.key,
        value: secret.value.expose_secret().as_bytes(),
    }
}

fn copied(pairs: &[Pair<'_>], bytes: usize) -> impl Sized + use<> {
    let mut buffer = WipedBuffer::new(bytes);
    for pair in pairs {
        buffer.push(pair.name.as_bytes()).unwrap();
        buffer.push(pair.value).unwrap();
    }
    buffer.finish().unwrap()
}

fn row(name: &str, time: Duration, copy: Duration, open: Duration) {
    let (time, copy, open) = (time.as_secs_f64(), copy.as_secs_f64(), open.as_secs_f64());
    println!(
        "{name:<20} {:>11.1} {:>11.1} {:>12.3}",
        time * 1e6,
        time / copy,
        time / open
    );
}

/// The time of one call, of several in a row.
fn timed(times: usize, work: &dyn Fn()) -> Duration {
    let begun = Instant::now();
    for _ in 0..times {
        work();
    }
    begun.elapsed() / u32::try_from(times).unwrap()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
