//! One message on its way from the session to the store.

use std::sync::Arc;

use mailstore::message::Scanner;
use mailstore::{BodyError, BodyWriter, Mailstore, NewMessage, Reply, Request, RequestError, StagedBody};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

use crate::recipient::{Target, resolve};
use crate::reply::Failure;
use crate::session::{Accepted, Envelope};

/// Deliveries of one message that wait for the store at the same time, each with a copy of a small body in memory. The
/// store commits them together.
const MOST_AT_ONCE: usize = 16;
/// A body of more octets than this has to be written and synced before it is complete; a smaller one waits in memory.
const LARGE_OCTETS: u64 = 256 * 1024;
/// The largest piece of a body that is copied at once, in octets.
const COPY_OCTETS: u64 = 256 * 1024;

/// The octets of a message as they come in: they go to the body store and past the scanner, and are not kept here.
pub(crate) struct Incoming {
    writer: BodyWriter,
    scanner: Scanner,
}

impl Incoming {
    /// A message that begins with these octets.
    pub fn begin(store: &Mailstore, first: &[u8]) -> Result<Self, Failure> {
        let mut incoming = Self { writer: store.body_writer(), scanner: Scanner::new() };
        incoming.write(first)?;
        Ok(incoming)
    }

    /// The next octets. After an error the message is lost.
    pub fn write(&mut self, octets: &[u8]) -> Result<(), Failure> {
        self.writer.write(octets).map_err(|error| body_failure(&error))?;
        self.scanner.push(octets);
        Ok(())
    }

    /// Delivers the message to the recipients of its envelope; the results are in their order.
    pub async fn deliver(self, store: &Mailstore, envelope: &Envelope) -> Vec<Result<Accepted, Failure>> {
        let Self { writer, scanner } = self;
        let body = match unhurried(writer.len(), || writer.finish()) {
            Ok(body) => body,
            Err(error) => return vec![Err(body_failure(&error)); envelope.recipients.len()],
        };
        let structure = Arc::new(scanner.finish());
        let message = NewMessage { body, structure, flags: Vec::new(), received: None };
        Delivery { store, envelope, message: Some(message) }.run().await
    }
}

/// A message that goes to one recipient after the other, some at the same time.
struct Delivery<'a> {
    store: &'a Mailstore,
    envelope: &'a Envelope,
    /// `None` once the last recipient got it.
    message: Option<NewMessage>,
}

impl Delivery<'_> {
    async fn run(mut self) -> Vec<Result<Accepted, Failure>> {
        let mut results = Vec::with_capacity(self.envelope.recipients.len());
        let mut left = self.envelope.recipients.len();
        for recipients in self.envelope.recipients.chunks(MOST_AT_ONCE) {
            let mut answers = Vec::with_capacity(recipients.len());
            for address in recipients {
                left -= 1;
                // Looked up again: the account may have been removed since RCPT.
                let target = resolve(&address.local, |name| self.store.account(name));
                answers.push(
                    target.ok_or(Failure::UnknownRecipient).and_then(|target| self.submit(target, left == 0)),
                );
            }
            for answer in answers {
                results.push(match answer {
                    // The store answers whatever it was asked, unless it is gone.
                    Ok(answer) => answer.await.unwrap_or(Err(Failure::ShuttingDown)),
                    Err(failure) => Err(failure),
                });
            }
        }
        results
    }

    /// Hands the message to the store; the receiver gets the answer once the message is durable.
    fn submit(
        &mut self,
        target: Target,
        last: bool,
    ) -> Result<oneshot::Receiver<Result<Accepted, Failure>>, Failure> {
        let message = if last { self.message.take() } else { self.message_again()? };
        let Some(message) = message else { return Err(Failure::Store) };
        let Target { account, mailbox } = target;
        let request = Request::Deliver { account, mailbox, sender: self.envelope.sender.clone(), message };
        let (sender, receiver) = oneshot::channel();
        self.store.submit(request, move |reply| {
            // A connection that has gone in the meantime hears nothing; its MTA offers the message again.
            let _ = sender.send(outcome(reply));
        });
        Ok(receiver)
    }

    /// The message once more, for one of several recipients.
    fn message_again(&self) -> Result<Option<NewMessage>, Failure> {
        let Some(message) = &self.message else { return Ok(None) };
        let body = unhurried(message.body.len(), || copy(self.store, &message.body))?;
        let structure = Arc::clone(&message.structure);
        Ok(Some(NewMessage { body, structure, flags: Vec::new(), received: None }))
    }
}

/// A second staging of a body. The store keeps the octets once, whatever number of requests carries them.
fn copy(store: &Mailstore, body: &StagedBody) -> Result<StagedBody, Failure> {
    let mut writer = store.body_writer();
    let mut position = 0;
    while position < body.len() {
        let end = position.saturating_add(COPY_OCTETS).min(body.len());
        let octets = body.read(position..end).map_err(|error| {
            tracing::error!(%error, "a body that has just come in cannot be read");
            Failure::Store
        })?;
        writer.write(&octets).map_err(|error| body_failure(&error))?;
        position = end;
    }
    writer.finish().map_err(|error| body_failure(&error))
}

/// Does work on so many octets; where it waits for the disk, other connections go on meanwhile.
fn unhurried<T>(octets: u64, work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread if octets > LARGE_OCTETS => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn outcome(reply: Result<Reply, RequestError>) -> Result<Accepted, Failure> {
    match reply {
        Ok(Reply::Delivered { duplicate: false }) => Ok(Accepted::Stored),
        Ok(Reply::Delivered { duplicate: true }) => Ok(Accepted::Duplicate),
        Ok(other) => {
            tracing::error!(?other, "the store gave a delivery the answer of another request");
            Err(Failure::Store)
        }
        Err(error) => Err(request_failure(&error)),
    }
}

fn request_failure(error: &RequestError) -> Failure {
    match error {
        RequestError::NoSuchAccount(_) => Failure::UnknownRecipient,
        RequestError::DiskFull => Failure::DiskFull,
        RequestError::ShuttingDown => Failure::ShuttingDown,
        RequestError::OverLimit { .. } | RequestError::OverQuota => Failure::OverLimit(error.to_string()),
        RequestError::BadName { .. } | RequestError::NotPossible(_) => Failure::Refused(error.to_string()),
        _ => {
            tracing::error!(%error, "a delivery failed");
            Failure::Store
        }
    }
}

fn body_failure(error: &BodyError) -> Failure {
    match error {
        BodyError::DiskFull(_) => Failure::DiskFull,
        BodyError::TooLarge(octets) => Failure::TooLarge(*octets),
        _ => {
            tracing::error!(%error, "a message cannot be taken in");
            Failure::Store
        }
    }
}
