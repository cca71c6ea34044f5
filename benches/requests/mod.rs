//! What a mount with a new token asks of Phase, by a bare client.

use std::time::{Duration, Instant};

use phase_emulator::Emulator;

/// Two requests with this token of the emulator, one after the other over a kept
/// connection, bodies read.
pub(crate) async fn two(emulator: &Emulator, token: &str, http: &reqwest::Client) -> Duration {
    let control = emulator.control();
    let token = control.token(token).unwrap();
    let bearer = token.split(':').nth(2).unwrap();
    let environment = control.environment_id("app", "Production").unwrap();
    let begun = Instant::now();
    for path in ["/service/secrets/tokens/", "/service/secrets/"] {
        let answer = http
            .get(format!("{}{path}", emulator.url()))
            .header("authorization", format!("Bearer ServiceAccount {bearer}"))
            .header("environment", &environment)
            .send();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.bytes().await.unwrap();
    }
    begun.elapsed()
}
