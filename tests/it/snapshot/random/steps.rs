//! What may happen to a node and its Phase, and how likely it is.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::snapshot::HOUR;
use crate::support::model::{Sky, Weather};

/// Tokens, each with its account.
pub(super) const TOKENS: [(&str, usize); 4] =
    [("strong", 0), ("second", 0), ("limited", 1), ("doomed", 2)];
pub(super) const ACCOUNTS: [&str; 3] = ["strong", "limited", "doomed"];
pub(super) const ENVIRONMENTS: [&str; 2] = ["production", "staging"];
/// Secrets that change: environment and key.
pub(super) const SLOTS: [(usize, &str); 3] = [(0, "KEY"), (0, "MAYBE"), (1, "X")];
pub(super) const PODS: usize = 4;

/// A class, and what it is made of.
pub(super) struct Class {
    pub(super) objects: &'static str,
    pub(super) environment: &'static str,
    pub(super) max_stale: Option<(&'static str, Duration)>,
    /// Each file: its name, the slot whose value it holds, whether it may be missing.
    pub(super) files: &'static [(&'static str, usize, bool)],
    /// The environments that it reads.
    pub(super) environments: &'static [usize],
}

pub(super) const CLASSES: [Class; 7] = [
    Class {
        objects: "- secretKey: KEY\n",
        environment: "production",
        max_stale: None,
        files: &[("KEY", 0, false)],
        environments: &[0],
    },
    Class {
        objects: "- secretKey: KEY\n",
        environment: "production",
        max_stale: Some(("0s", Duration::ZERO)),
        files: &[("KEY", 0, false)],
        environments: &[0],
    },
    Class {
        objects: "- secretKey: KEY\n- secretKey: MIX\n",
        environment: "production",
        max_stale: Some(("10m", Duration::from_secs(600))),
        files: &[("KEY", 0, false), ("MIX", 2, false)],
        environments: &[0, 1],
    },
    Class {
        objects: "- secretKey: KEY\n- secretKey: MAYBE\n",
        environment: "production",
        max_stale: None,
        files: &[("KEY", 0, false), ("MAYBE", 1, false)],
        environments: &[0],
    },
    Class {
        objects: "- secretKey: X\n",
        environment: "staging",
        max_stale: None,
        files: &[("X", 2, false)],
        environments: &[1],
    },
    Class {
        objects: "- secretKey: X\n- secretKey: BACK\n",
        environment: "staging",
        max_stale: None,
        files: &[("X", 2, false), ("BACK", 0, false)],
        environments: &[0, 1],
    },
    Class {
        objects: "- secretKey: MIX\n- {secretKey: MAYBE, optional: true}\n",
        environment: "production",
        max_stale: None,
        files: &[("MIX", 2, false), ("MAYBE", 1, true)],
        environments: &[0, 1],
    },
];

impl Class {
    pub(super) fn parameters(&self) -> Value {
        let mut class = json!({"objects": self.objects, "phaseAppEnv": self.environment});
        if let Some((text, _)) = self.max_stale {
            class["maxStale"] = text.into();
        }
        class
    }

    pub(super) fn most_stale(&self) -> Duration {
        self.max_stale.map_or(HOUR, |(_, most)| most)
    }
}

/// The organisation: `MIX` and `BACK` refer into the other environment.
pub(super) fn seed() -> Value {
    let of = |name: &str, key: &str, value: &str| {
        json!({"name": name, "secrets": [
            {"key": key, "value": value},
        ]})
    };
    let mut production = of("production", "MIX", "${staging.X}");
    let mut staging = of("staging", "BACK", "${production.KEY}");
    for (environment, key, id) in [(&mut production, "KEY", 1), (&mut staging, "X", 2)] {
        let secret = json!({"key": key, "value": value(id)});
        environment["secrets"].as_array_mut().unwrap().push(secret);
    }
    json!({
        "key": "5e".repeat(32),
        "apps": [{"name": "a", "environments": [production, staging]}],
        "accounts": [
            {"name": "strong", "tokens": [{"name": "strong"}, {"name": "second"}]},
            {"name": "limited", "access": [{"app": "a", "environments": ["staging"]}]},
            {"name": "doomed"},
        ],
    })
}

/// The value of one change: no two changes have the same, and no error may hold it.
pub(super) fn value(id: u32) -> String {
    format!("canary-{id}")
}

/// Which change a value came with.
pub(super) fn change_of(value: &str) -> Option<u32> {
    value.strip_prefix("canary-")?.parse().ok()
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// What the other steps become where they do not matter.
    Nothing,
    /// A pod's volume is mounted; `aside`, while other things go on.
    Mount {
        token: usize,
        class: usize,
        pod: usize,
        seconds: u64,
        aside: bool,
    },
    /// Volumes are republished so many times, as kubelet does it.
    Live {
        rounds: usize,
    },
    /// A pod gives way to a fresh one of its name.
    NewPod {
        pod: usize,
    },
    Put {
        slot: usize,
    },
    Delete {
        slot: usize,
    },
    Access {
        account: usize,
        environment: usize,
        may_read: bool,
    },
    Revoke {
        token: usize,
    },
    /// An account's role may read secrets, or no longer.
    Role {
        account: usize,
        may_read: bool,
    },
    Sky(Sky),
    Wait(Duration),
    /// The process ends and begins again; the wall clock may be set meanwhile, and
    /// the node may be started anew.
    Restart {
        reboots: bool,
        wall_seconds: i64,
        away: Duration,
    },
}

/// One case: what the node may spend, and what happens.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) budget: u32,
    pub(super) steps: Vec<Step>,
}

pub(super) fn plan() -> impl Strategy<Value = Plan> {
    let budget = prop_oneof![3 => Just(60), 1 => Just(8)];
    (budget, prop::collection::vec(step(), 15..=40))
        .prop_map(|(budget, steps)| Plan { budget, steps })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Nothing),
        30 => mount(),
        10 => (1..=4_usize).prop_map(|rounds| Step::Live { rounds }),
        4 => (0..PODS).prop_map(|pod| Step::NewPod { pod }),
        14 => (0..SLOTS.len()).prop_map(|slot| Step::Put { slot }),
        3 => (0..SLOTS.len()).prop_map(|slot| Step::Delete { slot }),
        7 => access(),
        2 => (0..TOKENS.len()).prop_map(|token| Step::Revoke { token }),
        6 => (0..ACCOUNTS.len(), any::<bool>())
            .prop_map(|(account, may_read)| Step::Role { account, may_read }),
        6 => Just(Step::Sky(Sky { tokens: Weather::Fine, secrets: Weather::Fine })),
        10 => (weather(), weather()).prop_map(|(tokens, secrets)| Step::Sky(Sky { tokens, secrets })),
        12 => wait().prop_map(Step::Wait),
        3 => restart(),
    ]
}

fn mount() -> impl Strategy<Value = Step> {
    let seconds = prop_oneof![4 => Just(90_u64), 1 => Just(30), 1 => Just(5)];
    let token = prop_oneof![4 => Just(0_usize), 1 => Just(1), 2 => Just(2), 2 => Just(3)];
    let aside = prop::bool::weighted(0.3);
    (token, 0..CLASSES.len(), 0..PODS, seconds, aside).prop_map(
        |(token, class, pod, seconds, aside)| Step::Mount {
            token,
            class,
            pod,
            seconds,
            aside,
        },
    )
}

fn access() -> impl Strategy<Value = Step> {
    let place = (0..ACCOUNTS.len(), 0..ENVIRONMENTS.len(), any::<bool>());
    place.prop_map(|(account, environment, may_read)| Step::Access {
        account,
        environment,
        may_read,
    })
}

fn weather() -> impl Strategy<Value = Weather> {
    let slow = |seconds| Just(Weather::Slow(Duration::from_secs(seconds)));
    let throttled = |wait: Option<u64>| Just(Weather::Throttled(wait.map(Duration::from_secs)));
    prop_oneof![
        6 => Just(Weather::Fine),
        3 => Just(Weather::Down),
        1 => Just(Weather::Hangs),
        1 => slow(3),
        1 => slow(12),
        1 => Just(Weather::Garbage),
        1 => Just(Weather::Firewall),
        2 => Just(Weather::FirewallInJson),
        1 => Just(Weather::WrongKey),
        1 => Just(Weather::Failing),
        1 => throttled(None),
        1 => throttled(Some(30)),
    ]
}

fn wait() -> impl Strategy<Value = Duration> {
    let seconds = [
        0_u64, 1, 6, 12, 30, 66, 100, 200, 400, 900, 2_000, 3_700, 7_500,
    ];
    let seconds = prop::sample::select(seconds.to_vec());
    (seconds, 0..1000_u64).prop_map(|(s, ms)| Duration::from_millis(s * 1000 + ms))
}

fn restart() -> impl Strategy<Value = Step> {
    let wall = prop::sample::select(vec![0_i64, 0, 0, -4_000, -500, 4_000]);
    let reboots = prop::bool::weighted(0.3);
    (reboots, wall, wait()).prop_map(|(reboots, wall_seconds, away)| Step::Restart {
        reboots,
        wall_seconds,
        away,
    })
}
