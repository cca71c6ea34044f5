//! What one life of the process hears of Phase, written down.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use phase_csi_provider::deadline::Deadline;
use phase_csi_provider::phase::client::{Asked, ClientError, Endpoint};
use phase_csi_provider::snapshot::Upstream;
use phase_emulator::Seed;
use tokio::time::Instant;

use super::history::{Heard, History, Said};
use super::steps::{ENVIRONMENTS, TOKENS, seed};
use crate::snapshot::LATENCY;
use crate::support::model::{Model, Sky, Weather};

/// Phase as one life of the process hears it.
#[derive(Clone)]
pub(super) struct Ear {
    pub(super) model: Model,
    pub(super) sky: Arc<Mutex<Sky>>,
    pub(super) history: Arc<Mutex<History>>,
    bearers: Arc<[String]>,
    environments: Arc<[String]>,
    pub(super) begun: Instant,
    /// A process that has ended hears nothing any more.
    pub(super) is_dead: Arc<AtomicBool>,
}

impl Upstream for Ear {
    async fn once(
        &self,
        asked: &Asked<'_>,
        attempt: u32,
        deadline: Deadline,
    ) -> Result<Bytes, ClientError> {
        if self.is_dead.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let (at, sky) = (self.begun.elapsed(), *self.sky.lock().unwrap());
        let answer = self.model.once(asked, attempt, deadline).await;
        if self.is_dead.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let told = self.begun.elapsed();
        let header = asked.authorization.header();
        let header = header.to_str().unwrap();
        let of = |bearer: &String| header.ends_with(bearer.as_str());
        let weather = match asked.target().endpoint {
            Endpoint::Tokens => sky.tokens,
            Endpoint::Secrets => sky.secrets,
        };
        let place = |id: &str| self.environments.iter().position(|known| known == id);
        self.history.lock().unwrap().heard.push(Heard {
            token: self.bearers.iter().position(of).unwrap(),
            environment: asked.environment.map(|id| place(id).unwrap()),
            is_probe: asked.is_probe,
            asked: at,
            // The model asks half way.
            seen: at + (told - at) / 2,
            told,
            said: match &answer {
                Ok(_) if weather == Weather::WrongKey => Said::Nothing,
                Ok(_) => Said::Yes,
                Err(
                    ClientError::TokenRefused(_)
                    | ClientError::NoAccess(_)
                    | ClientError::EnvironmentUnknown(_)
                    | ClientError::PermissionMissing(_),
                ) => Said::No,
                Err(_) => Said::Nothing,
            },
        });
        answer
    }
}

impl Ear {
    /// Of a Phase that begins now.
    pub(super) fn new() -> Self {
        let seed = Seed::from_yaml(&seed().to_string()).unwrap();
        let model = Model::new(seed, LATENCY);
        let control = model.phase.control();
        // The bearer is the first part of a token after its kind and version.
        let bearer = |(name, _): (&str, usize)| {
            let token = control.token(name).unwrap();
            token.split(':').nth(2).unwrap().to_owned()
        };
        let id = |name| control.environment_id("a", name).unwrap();
        let fine = Weather::Fine;
        Self {
            bearers: TOKENS.map(bearer).into(),
            environments: ENVIRONMENTS.map(id).into(),
            sky: Arc::new(Mutex::new(Sky {
                tokens: fine,
                secrets: fine,
            })),
            history: Arc::default(),
            begun: Instant::now(),
            is_dead: Arc::default(),
            model,
        }
    }
}
