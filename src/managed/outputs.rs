//! The Secrets of one plan: each is written, then whoever uses what has changed is
//! restarted, once for all of them.

use kube::ResourceExt;
use tracing::warn;

use super::adopt::{self, Predecessors};
use super::apply::{Contested, Without, Write};
use super::contents::{Contents, Part};
use super::followed::Followed;
use super::one::one;
use super::owner::Owner;
use super::plan::{Output, Plan, SecretName};
use super::reconcile::{Context, Note, Outcome, name};
use super::redeploy::{Change, Restarts, redeploy};
use super::resource::SecretStatus;
use super::status::{Reason, Trouble};
use super::turns::Writing;

/// So many are named in one text.
const SHOWN: usize = 10;

/// A Secret that is as it should be.
struct Written<'a> {
    write: Write<'a>,
    /// For what its users have been restarted.
    followed: Followed,
    /// Whether that was not known before.
    is_new: bool,
    /// Whether it was Phase's own operator's.
    is_theirs: bool,
}

/// Brings the Secrets of a plan up to date, and whoever uses them.
pub(super) async fn outputs<U, K: Owner>(
    object: &K,
    context: &Context<U, K>,
    plan: &Plan,
    contents: Contents<'_>,
    (turn, outcome): (&mut Writing<'_>, &mut Outcome),
) {
    let resource = name(object);
    let owner = object.controller_owner_ref(&());
    let mut all = Vec::new();
    let mut nothing = contents.nothing.as_ref();
    for (output, part) in plan.outputs.iter().zip(&contents.parts) {
        turn.pause().await;
        let before = context.followed(object, &output.secret);
        let kept = |before: Option<Followed>| {
            before.map(|before| SecretStatus {
                taken_over: object.has_taken_over(&output.secret),
                ..before.entry(&output.secret)
            })
        };
        let mut is_theirs = object.has_taken_over(&output.secret);
        if contents.nothing.is_some() && output.may_be_empty.is_none() && !is_theirs {
            is_theirs = was_theirs(object, context, output, before.as_ref()).await;
        }
        if contents.nothing.is_some() && !output.may_be_empty.unwrap_or(is_theirs) {
            // Once for all of them.
            let trouble = nothing
                .take()
                .map(|text| Trouble::new(Reason::NotFound, text));
            outcome.troubles.extend(trouble);
            all.push(Err(kept(before)));
            continue;
        }
        let (hash, data) = match part {
            Part::Data { hash, json } => (hash, *json),
            Part::Wrong(text) => {
                let message = format!("Secret {}: {text}", output.secret);
                let trouble = Trouble::new(Reason::InvalidData, message);
                outcome.troubles.push(trouble);
                all.push(Err(kept(before)));
                continue;
            }
        };
        let write = Write {
            output,
            data,
            hash,
            annotations: [(K::ANNOTATION, resource.as_str())].into(),
            owner: owner.as_ref().filter(|_| output.is_owned),
            predecessors: Predecessors::of(object.finalizers()),
            is_kept: false,
            without: Without::default(),
        };
        let followed = Followed::towards(before.as_ref(), hash);
        match one(context, &write, &followed).await {
            Ok(done) => {
                outcome.has_written |= done.has_written;
                let secret = done.is_adopted.then(|| output.secret.to_string());
                outcome.adopted.extend(secret);
                let followed = match done.conflict {
                    Some(Contested { error, hash }) => {
                        outcome.troubles.push(Trouble::new((&error).into(), error));
                        contested::<K>(before.as_ref(), followed, &hash)
                    }
                    None => followed,
                };
                is_theirs |= done.is_adopted;
                let is_new = before.is_none_or(|before| before.content != followed.content);
                all.push(Ok(Written {
                    write,
                    followed,
                    is_new,
                    is_theirs,
                }));
            }
            Err(trouble) => {
                outcome.troubles.push(trouble);
                all.push(Err(kept(before)));
            }
        }
    }
    let written = all.iter_mut().filter_map(|one| one.as_mut().ok());
    follow(context, plan, written.collect(), outcome).await;
    let has_changed = all.iter().flatten().any(|written| written.is_new);
    let entries = all.into_iter().filter_map(|one| match one {
        Ok(written) => Some(SecretStatus {
            taken_over: written.is_theirs,
            ..written.followed.entry(&written.write.output.secret)
        }),
        Err(entry) => entry,
    });
    outcome.secrets.extend(entries);
    if has_changed && !contents.unresolved.is_empty() {
        let text = contents.unresolved.join("; ");
        warn!(object = resource, "{text}");
        outcome.notes.push(Note {
            is_warning: true,
            reason: "ReferenceUnresolved",
            text,
        });
    }
}

/// Whether a Secret was Phase's own operator's, which makes it empty.
async fn was_theirs<U, K: Owner>(
    object: &K,
    context: &Context<U, K>,
    output: &Output,
    before: Option<&Followed>,
) -> bool {
    let is_theirs = Predecessors::of(object.finalizers()) != Predecessors::default();
    is_theirs || (before.is_none() && adopt::was_theirs(&context.client, &output.secret).await)
}

/// How far the users of a Secret have followed, of which others have set something to
/// something else. What an annotation says is written before that is known.
fn contested<K: Owner>(before: Option<&Followed>, followed: Followed, hash: &str) -> Followed {
    match K::FOLLOWED {
        Some(_) => followed,
        None => Followed::towards(before, hash),
    }
}

/// Restarts whoever uses what has changed.
async fn follow<U, K: Owner>(
    context: &Context<U, K>,
    plan: &Plan,
    mut written: Vec<&mut Written<'_>>,
    outcome: &mut Outcome,
) {
    written.retain(|one| !one.followed.is_complete);
    if written.is_empty() {
        return;
    }
    let changes = written.iter().map(|one| Change {
        secret: &one.write.output.secret,
        content: &one.followed.content,
    });
    let changes: Vec<_> = changes.collect();
    let done = redeploy(
        (&context.client, &context.candidates),
        &changes,
        plan.redeploy.as_deref(),
    )
    .await;
    let is_new = |one: &&mut Written<'_>| one.is_new;
    let has_news = written.iter().any(is_new);
    for one in written {
        one.followed.is_complete = !done.behind.contains(&one.write.output.secret);
        if K::FOLLOWED.is_none() {
            continue;
        }
        if let Err(trouble) = self::one(context, &one.write, &one.followed).await {
            one.followed.is_complete = false;
            outcome.troubles.push(trouble);
        }
    }
    tell(context, done, has_news, outcome);
}

/// What was done of restarts, and what was not.
fn tell<U, K: Owner>(
    context: &Context<U, K>,
    done: Restarts,
    has_news: bool,
    outcome: &mut Outcome,
) {
    let Restarts {
        restarted,
        left_alone,
        failed,
        behind: _,
    } = done;
    context.states.figures.restarted(restarted);
    if restarted > 0 {
        let text = format!("{restarted} workloads that use a changed Secret are restarted");
        outcome.note("Redeployed", text);
    }
    if !left_alone.is_empty() {
        let text = format!(
            "left alone, though a Secret that they use has changed: {}: a Job's pods cannot be changed, and a CronJob's next run reads the new Secret",
            some(&left_alone, ", ")
        );
        outcome.note("NotRestarted", text);
    }
    // Once for each change, however often it is tried again.
    if has_news && !failed.is_empty() {
        let texts: Vec<_> = failed.iter().map(ToString::to_string).collect();
        outcome.notes.push(Note {
            is_warning: true,
            reason: "NotRestarted",
            text: some(&texts, "; "),
        });
    }
    let troubles = failed.iter().map(|error| Trouble::new(error.into(), error));
    outcome.troubles.extend(troubles);
}

/// The first few, and how many more there are.
fn some(texts: &[String], between: &str) -> String {
    let shown = texts[..texts.len().min(SHOWN)].join(between);
    match texts.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

impl Followed {
    /// What a status says of it.
    fn entry(self, SecretName { namespace, name }: &SecretName) -> SecretStatus {
        SecretStatus {
            namespace: namespace.clone(),
            name: name.clone(),
            content_hash: self.content,
            restarts_pending: !self.is_complete,
            taken_over: false,
        }
    }
}
