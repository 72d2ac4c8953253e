//! What brokers answer: results, grants, metadata, identities.

use std::sync::Arc;
use std::time::Instant;

use caudal_proto::v1 as wire;
use wire::produce_send_result::Result as Outcome;
use wire::produce_stream_response::Message;

use super::brokers::StreamId;
use super::task::Task;
use crate::clock;
use crate::delivery::BatchReceipt;
use crate::error::{Error, ErrorKind};
use crate::lane::Lane;
use crate::sequence::Identity;
use crate::topic_wire::malformed;

impl Task {
    /// A message of a stream, its error, or its end.
    pub(super) fn on_answer(
        &mut self,
        stream: StreamId,
        answer: Option<Result<wire::ProduceStreamResponse, tonic::Status>>,
    ) {
        let error = match answer {
            Some(Ok(response)) => match self.on_message(stream, response) {
                Ok(()) => return,
                Err(error) => error,
            },
            Some(Err(status)) => {
                let link = self.brokers.link(stream);
                Error::status(link.map_or("the broker", |link| &link.address), status)
            }
            None => Error::new(ErrorKind::Unreachable, "the broker ended the produce stream"),
        };
        self.answers.remove(&stream);
        self.on_lost(stream, &error);
    }

    fn on_message(&mut self, stream: StreamId, response: wire::ProduceStreamResponse) -> Result<(), Error> {
        match response.message {
            Some(Message::Result(result)) => self.on_result(stream, result),
            Some(Message::Window(window)) => {
                if let Some(link) = self.brokers.link(stream) {
                    link.grant(window.bytes);
                }
                Ok(())
            }
            Some(Message::Opened(_)) => Err(malformed("a produce stream was opened twice")),
            // A message of a newer broker: it changes nothing for us.
            None => Ok(()),
        }
    }

    fn on_result(&mut self, stream: StreamId, result: wire::ProduceSendResult) -> Result<(), Error> {
        let link = self.brokers.link(stream);
        let Some((place, number)) = link.and_then(|link| link.answered(result.sequence, clock::now())) else {
            // With `acks=none` the batch is done with when an error comes.
            if self.shared.config.acks == crate::Acks::None {
                self.refresh.wanted = true;
                return Ok(());
            }
            return Err(malformed(&format!("a result for batch {}, which was not sent", result.sequence)));
        };
        let Some(lane) = self.lanes.get_mut(&place) else { return Ok(()) };
        match result.result {
            Some(Outcome::Receipt(receipt)) => {
                let topic = self.shared.lock().batcher.topic(place).name.clone();
                let receipt = BatchReceipt::from_wire(topic, lane.topic_id(), receipt);
                lane.acknowledged(number, receipt, &mut self.done);
                Ok(())
            }
            Some(Outcome::Error(error)) => {
                let topic = self.shared.lock().batcher.topic(place).name.clone();
                let error = Error::refused(error).with("topic", &topic).with("partition", place.partition);
                let hinted = self.metadata.hint(&topic, place.partition, &error);
                let refresh = lane.refused(number, error, clock::now(), clock::random(), &mut self.done);
                self.refresh.wanted |= refresh && !hinted;
                Ok(())
            }
            None => Err(malformed("a result that says nothing")),
        }
    }

    /// Takes metadata in; topics that are gone fail what waits for them.
    pub(super) fn on_metadata(
        &mut self,
        now: Instant,
        asked: &[Arc<str>],
        answer: Result<wire::GetMetadataResponse, Error>,
    ) {
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(%error, "no metadata");
                self.refresh.wanted = true;
                self.shared.lock().lookup_error = Some(error);
                return;
            }
        };
        let topics = self.metadata.update(now, response);
        let mut gone = Vec::new();
        let mut state = self.shared.lock();
        state.lookup_error = None;
        for name in asked {
            state.wanted.remove(name);
        }
        for (name, topic) in topics {
            match topic {
                Ok(topic) => state.batcher.set_topic(topic),
                Err(error) => {
                    if error.kind() == ErrorKind::NotFound {
                        state.batcher.forget_topic(&name);
                        gone.push((name.clone(), error.clone()));
                    }
                    state.topic_failed(&name, error);
                }
            }
        }
        drop(state);
        for (name, error) in gone {
            self.fail_places(&error, |task, place| task.shared.lock().batcher.topic(place).name == name);
        }
        self.shared.topics_changed();
        self.leave_silent(now);
    }

    /// Takes a producer id in; where none is to be had for good, what waits for one fails.
    pub(super) fn on_identity(&mut self, answer: Result<Identity, Error>) {
        match answer {
            Ok(identity) => {
                self.identity = Some(identity);
                self.trouble = None;
            }
            Err(error) if error.is_retriable() || error.kind() == ErrorKind::UnknownOutcome => {
                tracing::debug!(%error, "no producer id");
                self.trouble = Some(error);
                self.identify.wanted = true;
            }
            Err(error) => {
                let error = error.about("no producer id for idempotent writes");
                self.fail_places(&error, |task, place| {
                    task.lanes.get(&place).is_none_or(|lane: &Lane| lane.needs_identity().is_some())
                });
            }
        }
    }
}
