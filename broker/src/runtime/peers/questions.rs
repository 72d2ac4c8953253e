//! Questions of brokers that look for their cluster, asked and answered.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use caudal_proto::peer::{Answer, Class, Hello, Purpose, Question};
use tokio::time::timeout;

use super::directory::Directory;
use super::frame::{self, FrameError, Frames};
use super::hello::{self, GreetError};
use crate::limits;

/// An answer on its way.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// Who answers questions. Everybody may ask: nothing of a question is to be believed.
pub trait Questions: Send + Sync {
    /// The answer; it has [`limits::PEER_ANSWER_MS`].
    fn answer(&self, question: Question) -> Answering<'_>;
}

/// A connection to a broker that answers questions.
#[derive(Debug)]
pub struct Interview {
    address: String,
    frames: Frames,
    theirs: Hello,
}

impl Interview {
    /// Connects to the peer listener at `address`, a HOST:PORT.
    ///
    /// # Errors
    /// Nobody is there, or nobody who answers, or it refuses to.
    pub async fn begin(address: &str, directory: &Directory) -> Result<Interview, GreetError> {
        let mine = hello::hello(directory, Purpose::Questions, Class::Unspecified);
        let (mut frames, theirs) = hello::greet(address, &mine).await?;
        frames.decoder_mut().set_max_frame_length(limits::PEER_QUESTION_BYTES_MAX);
        Ok(Interview { address: address.to_owned(), frames, theirs })
    }

    /// What the other broker says of itself.
    pub fn hello(&self) -> &Hello {
        &self.theirs
    }

    /// Asks. After an error the connection is of no use any more.
    ///
    /// # Errors
    /// No answer came in time, or none that can be understood.
    pub async fn ask(&mut self, question: &Question) -> Result<Answer, GreetError> {
        let asked = async {
            frame::write(self.frames.get_mut(), question, &mut BytesMut::new()).await?;
            frame::next_message::<Answer>(&mut self.frames).await
        };
        // What the other side may take, and the way.
        let wait = Duration::from_millis(limits::PEER_ANSWER_MS + limits::PEER_HELLO_MS);
        let answer = match timeout(wait, asked).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it said nothing for {wait:?}"),
        };
        Err(GreetError::Answer { address: self.address.clone(), why: answer })
    }
}

/// Answers one who asks until it has no more questions.
pub(super) async fn answer_all(mut frames: Frames, questions: Arc<dyn Questions>) {
    frames.decoder_mut().set_max_frame_length(limits::PEER_QUESTION_BYTES_MAX);
    if let Err(end) = answer_on(&mut frames, &*questions).await {
        tracing::debug!("a connection for questions ended: {end}");
    }
}

async fn answer_on(frames: &mut Frames, questions: &dyn Questions) -> Result<(), FrameError> {
    let within = |ms| move |_| FrameError::Io(std::io::Error::other(format!("nothing for {ms} ms")));
    loop {
        let wait = Duration::from_millis(limits::PEER_QUESTION_WAIT_MS);
        let question = timeout(wait, frame::next_message::<Question>(frames))
            .await
            .map_err(within(limits::PEER_QUESTION_WAIT_MS))??;
        let wait = Duration::from_millis(limits::PEER_ANSWER_MS);
        let answer =
            timeout(wait, questions.answer(question)).await.map_err(within(limits::PEER_ANSWER_MS))?;
        frame::write(frames.get_mut(), &answer, &mut BytesMut::new()).await?;
    }
}
