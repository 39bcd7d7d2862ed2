//! What each command does on a node.

use std::sync::Arc;

use mailstore::crdt::identity::NodeSlot;
use mailstore::crdt::operation::Member;
use mailstore::identity::NodeIdentity;
use mailstore::password::{self, PasswordCost};
use mailstore::{Mailstore, Reply, Request, RequestError, Storage};
use serde_json::{Value, json};

use super::{Limit, Question, app_passwords};
use crate::commands::status;
use crate::config::Config;
use crate::failure::Failure;
use crate::node::invitations::Invitations;
use crate::node::serve::Links;

/// What commands work on.
pub struct Context {
    /// The configuration.
    pub config: Arc<Config>,
    /// What the node is.
    pub identity: NodeIdentity,
    /// The fingerprint of its key.
    pub key: [u8; 32],
    /// Its tables and bodies.
    pub storage: Arc<Storage>,
    /// Its mail; none where the command only reads.
    pub store: Option<Mailstore>,
    /// Its links to other nodes, where it serves.
    pub links: Option<Links>,
}

impl Context {
    fn store(&self) -> Result<&Mailstore, Failure> {
        self.store.as_ref().ok_or_else(|| {
            Failure::new("this command changes mail, but the store was opened for reading alone")
        })
    }
}

/// Answers one question.
pub async fn answer(
    context: &Context,
    question: Question,
    progress: impl Fn(String) + Send,
) -> Result<Value, Failure> {
    match question {
        Question::AddUser { name, password } => {
            let password = hashed(&password)?;
            let outcome = context.store()?.ask(Request::AddAccount { name: name.clone(), password }).await;
            match outcome {
                Ok(_) => Ok(json!({ "added": name })),
                Err(RequestError::AlreadyExists(_)) => Err(Failure::new(format!(
                    "there is an account {name:?} already; `peerpost user passwd {name}` changes its password"
                ))),
                Err(error) => Err(error.into()),
            }
        }
        Question::SetPassword { name, password } => {
            let account = account(context.store()?, &name)?;
            let password = hashed(&password)?;
            context.store()?.ask(Request::SetPassword { account, password }).await?;
            Ok(json!({ "changed": name }))
        }
        Question::RemoveUser { name } => {
            let account = account(context.store()?, &name)?;
            context.store()?.ask(Request::RemoveAccount { account }).await?;
            Ok(json!({ "removed": name }))
        }
        Question::Quota { name, storage, messages } => quota(context, &name, storage, messages).await,
        Question::AddAppPassword { name, label } => {
            let (store, id) = (context.store()?, account(context.store()?, &name)?);
            app_passwords::add(store, id, &name, label).await
        }
        Question::RemoveAppPassword { name, which } => {
            let (store, id) = (context.store()?, account(context.store()?, &name)?);
            app_passwords::remove(store, id, &name, &which).await
        }
        Question::RemoveNode { name, slot } => remove_node(context, &name, slot).await,
        Question::Bump { account: name, mailbox } => {
            let account = account(context.store()?, &name)?;
            let request = Request::Bump { account, mailbox: mailbox.clone() };
            match context.store()?.ask(request).await? {
                Reply::Bumped(validity) => {
                    Ok(json!({ "account": name, "mailbox": mailbox, "uid_validity": validity.0 }))
                }
                other => Err(Failure::new(format!("the store answered a bump with {other:?}"))),
            }
        }
        Question::Status => {
            let confirmation = match &context.store {
                Some(store) => Some(store.confirmation().await?),
                None => None,
            };
            tokio::task::block_in_place(|| status::collect(context, context.links.as_ref(), confirmation))
        }
        Question::Invite => Invitations::new(Arc::clone(&context.storage)).invite(context).await,
        reading => {
            let context_storage = Arc::clone(&context.storage);
            tokio::task::block_in_place(|| read(context, &context_storage, reading, &progress))
        }
    }
}

/// What an account holds and may hold, once what is given is changed.
async fn quota(
    context: &Context,
    name: &str,
    storage: Option<Limit>,
    messages: Option<Limit>,
) -> Result<Value, Failure> {
    let store = context.store()?;
    let account = account(store, name)?;
    let ask = async || match store.ask(Request::Usage { account }).await? {
        Reply::Usage { usage, quota } => Ok((usage, quota)),
        other => Err(Failure::new(format!("the store answered what an account holds with {other:?}"))),
    };
    let (mut usage, mut quota) = ask().await?;
    if storage.is_some() || messages.is_some() {
        quota.octets = storage.map_or(quota.octets, Limit::most);
        quota.messages = messages.map_or(quota.messages, Limit::most);
        store.ask(Request::SetQuota { account, quota }).await?;
        (usage, quota) = ask().await?;
    }
    Ok(json!({
        "account": name,
        "storage": { "used": usage.octets, "limit": quota.octets },
        "messages": { "used": usage.messages, "limit": quota.messages },
    }))
}

/// Declares a member dead.
async fn remove_node(context: &Context, name: &str, slot: Option<u8>) -> Result<Value, Failure> {
    let store = context.store()?;
    let cluster = store.cluster().borrow().clone();
    let named =
        |member: &&Member| member.name == name && slot.is_none_or(|slot| member.slot.number() == slot);
    let members: Vec<NodeSlot> = cluster.living().filter(named).map(|member| member.slot).collect();
    match members.as_slice() {
        [slot] if *slot == context.identity.slot => {
            Err(Failure::new("a node cannot declare itself dead; run the command on another member"))
        }
        [slot] => {
            store.bury(*slot).await?;
            Ok(json!({ "removed": name, "slot": slot.number() }))
        }
        [] => Err(Failure::new(format!("no living member is called {name:?}; `peerpost status` lists them"))),
        several => Err(Failure::new(format!(
            "{} members are called {name:?}; name one with --slot ({})",
            several.len(),
            several.iter().map(NodeSlot::to_string).collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// Questions that read tables, and may take a while.
fn read(
    context: &Context,
    storage: &Storage,
    question: Question,
    progress: &dyn Fn(String),
) -> Result<Value, Failure> {
    match question {
        Question::ListUsers => {
            let mut names = accounts(storage)?;
            names.sort();
            Ok(json!({ "accounts": names }))
        }
        Question::ListAppPasswords { name } => app_passwords::list(storage, &name),
        Question::History { account, mailbox } => {
            crate::commands::history::collect(storage, &account, mailbox.as_deref())
        }
        Question::Explain { account, mailbox, uid } => {
            crate::commands::explain::collect(storage, &account, &mailbox, uid)
        }
        Question::Verify { repair } => {
            crate::commands::verify::collect(storage, repair, context.store.is_some(), progress)
        }
        other => Err(Failure::new(format!("{other:?} is answered elsewhere"))),
    }
}

/// The names of all accounts that exist.
pub fn accounts(storage: &Storage) -> Result<Vec<String>, Failure> {
    let heads = mailstore::rows::read_heads(&storage.reader()?)?;
    Ok(heads.values().filter(|head| head.exists()).map(|head| head.name().to_owned()).collect())
}

fn account(store: &Mailstore, name: &str) -> Result<mailstore::crdt::identity::AccountId, Failure> {
    store
        .account(name)
        .ok_or_else(|| Failure::new(format!("there is no account {name:?}; `peerpost user list` lists them")))
}

fn hashed(password: &str) -> Result<String, Failure> {
    if password.is_empty() {
        return Err(Failure::new("the password is empty; give one on standard input"));
    }
    let hash = password::hash(password, crate::node::random(), PasswordCost::STANDARD);
    hash.ok_or_else(|| {
        Failure::new(format!("the password is longer than {} octets", password::LONGEST_PASSWORD))
    })
}
