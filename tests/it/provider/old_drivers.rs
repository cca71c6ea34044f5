//! Drivers before 1.6 send the socket's path as `:authority`.

use super::raw::{CONTINUATION, END_HEADERS, HEADERS, Outcome, RawClient, frame};
use super::*;

const PATH: &[u8] = b"/var/run/secrets-store-csi-providers/phase.sock";
const NOTHING: (&[u8], &[u8]) = (b"user-agent", b"grpc-go/1.56.3");
/// HTTP/2's PROTOCOL_ERROR.
const REFUSED: Outcome = Outcome::Reset(1);

async fn provider(rewrite: bool) -> Provider {
    Provider::with(
        |config| config.rewrite_authority = rewrite,
        |_, _| async { Ok(answer("x")) },
    )
    .await
}

/// Asks three times, so that the second and third refer to the first's entries.
async fn outcomes(provider: &Provider, authority: &[u8]) -> [Outcome; 3] {
    let mut driver = RawClient::connect(&provider.path).await;
    let first = driver.ask(authority, NOTHING).await;
    [
        first,
        driver.ask(authority, NOTHING).await,
        driver.ask(authority, NOTHING).await,
    ]
}

#[tokio::test]
async fn a_path_as_authority_is_let_in_by_the_rewriting_and_by_nothing_else() {
    let (with, without) = (provider(true).await, provider(false).await);
    assert_eq!(
        outcomes(&with, PATH).await,
        [const { Outcome::Answered }; 3]
    );
    assert_eq!(outcomes(&without, PATH).await, [REFUSED, REFUSED, REFUSED]);
}

#[tokio::test]
async fn the_authority_of_newer_drivers_is_let_in_either_way() {
    for rewrite in [true, false] {
        let provider = provider(rewrite).await;
        assert_eq!(
            outcomes(&provider, b"localhost").await,
            [const { Outcome::Answered }; 3]
        );
    }
}

#[tokio::test]
async fn paths_of_any_length_and_percent_signs_are_let_in() {
    let provider = provider(true).await;
    let long = [&[b'/'][..], &[b'x'; 300]].concat();
    for path in [
        &b"/provider/phase.sock"[..],
        b"%2Fprovider%2Fphase.sock",
        b"/phase.sock",
        &long,
    ] {
        assert_eq!(
            outcomes(&provider, path).await,
            [const { Outcome::Answered }; 3]
        );
    }
}

#[tokio::test]
async fn a_path_in_huffman_code_is_let_in() {
    // "/provider/phase.sock".
    let value = b"\x8f\x62\xbb\x0f\xdc\xd2\x16\xc6\x2b\x9c\x68\x2a\xe8\x39\x3a\xff";
    for (rewrite, outcome) in [(true, Outcome::Answered), (false, REFUSED)] {
        let provider = provider(rewrite).await;
        let mut driver = RawClient::connect(&provider.path).await;
        let rest = driver.block("Version", b"", NOTHING);
        let [method, scheme, _literal, _empty, rest @ ..] = rest.as_slice() else {
            panic!("a short block")
        };
        // Never to be indexed, so that the writer's table stays as it is.
        let block = [&[*method, *scheme, 0x11][..], value, rest].concat();
        assert_eq!(
            driver
                .send(|stream| frame(HEADERS, END_HEADERS, stream, &block))
                .await,
            outcome
        );
    }
}

#[tokio::test]
async fn padded_prioritised_and_cut_header_blocks_are_let_in() {
    let provider = provider(true).await;
    let mut driver = RawClient::connect(&provider.path).await;
    let block = driver.block("Version", PATH, NOTHING);
    let padded = [&[4][..], &[0, 0, 0, 0, 16], &block, &[0; 4]].concat();
    let outcome = driver
        .send(|stream| frame(HEADERS, END_HEADERS | 0x28, stream, &padded))
        .await;
    assert_eq!(outcome, Outcome::Answered);
    for at in [0, 1, 3, 20] {
        let block = driver.block(
            "Version",
            &[PATH, at.to_string().as_bytes()].concat(),
            NOTHING,
        );
        let (head, tail) = block.split_at(at);
        let cut = |stream| {
            [
                frame(HEADERS, 0, stream, head),
                frame(CONTINUATION, END_HEADERS, stream, tail),
            ]
            .concat()
        };
        assert_eq!(driver.send(cut).await, Outcome::Answered, "cut at {at}");
    }
}

#[tokio::test]
async fn both_sides_agree_on_their_tables_while_they_overflow() {
    let provider = provider(true).await;
    let mut driver = RawClient::connect(&provider.path).await;
    let huge = vec![b'h'; 3900];
    for i in 0..600 {
        // Several paths, unique values of many lengths, a value that comes back
        // later, and now and then one that empties most of the table.
        let authority = [PATH, &b"/x".repeat(i % 5)].concat();
        let value = match i % 50 {
            49 => huge.clone(),
            k if k % 3 == 0 => b"again".to_vec(),
            k => format!("{i}{}", "v".repeat(k * 7)).into_bytes(),
        };
        let name = format!("x-{}", i % 4);
        let outcome = driver.ask(&authority, (name.as_bytes(), &value)).await;
        assert_eq!(outcome, Outcome::Answered, "request {i}");
    }
}

#[tokio::test]
async fn a_path_shorter_than_localhost_is_refused_by_the_library_as_ever() {
    let provider = provider(true).await;
    assert_eq!(
        outcomes(&provider, b"/a.sock").await,
        [REFUSED, REFUSED, REFUSED]
    );
}
