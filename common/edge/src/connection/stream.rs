//! A connection of the HTTP server, plain or over TLS. It ends by itself when its client is too slow.
//!
//! actix bounds the head of a connection's first request and the time between requests. Here is what it does not
//! bound: the heads of later requests, and how slowly a client takes its answers.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_web::rt::net::TcpStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};
use tokio_rustls::server::TlsStream;

use crate::connection::{
    pace::Pace,
    places::{Place, Taken},
};

/// How long a client may take to send a request's head.
pub(crate) const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// What bytes go through.
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The rest of its state.
pub(crate) struct Stream {
    transport: Transport,
    taken: Taken,
    /// Since when a head arrives that is not the first one.
    head: Option<Instant>,
    /// How fast the client takes what is to be sent; none while nothing waits.
    taking: Option<Pace>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether the first request has come; actix bounds its head.
    started: bool,
}

impl Stream {
    pub(crate) fn new(transport: Transport, taken: Taken) -> Self {
        Self {
            transport,
            taken,
            head: None,
            taking: None,
            timer: None,
            started: false,
        }
    }

    /// The place of the connection.
    pub(crate) const fn place(&self) -> &Rc<Place> {
        self.taken.place()
    }

    /// Whether the client has shown a certificate; the handshake has verified it then.
    pub(crate) fn has_client_certificate(&self) -> bool {
        match &self.transport {
            Transport::Plain(_) => false,
            Transport::Tls(tls) => tls.get_ref().1.peer_certificates().is_some(),
        }
    }

    /// `Ready` at this time; else the task is woken then.
    fn poll_until(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context)
    }

    /// A request that has come ends the wait for its head.
    fn note_request(&mut self) {
        self.started = true;
        self.head = None;
    }

    /// Some bytes have come while there is no request: they begin one.
    fn note_head(&mut self) {
        if self.started && self.place().waits() {
            let deadline = || Instant::now() + HEAD_WITHIN;
            self.head.get_or_insert_with(deadline);
        }
    }

    /// The client takes nothing at the moment. It is cut off if it has not taken enough for too long.
    fn poll_stalled<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        loop {
            let pace = self.taking.get_or_insert_with(Pace::start);
            let deadline = pace.deadline();
            ready!(self.poll_until(deadline, context));
            if !self.taking.as_mut().is_some_and(Pace::goes_on) {
                let slow = "the client has not taken its answer in time";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, slow)));
            }
        }
    }

    fn transport(&mut self) -> Pin<&mut Transport> {
        Pin::new(&mut self.transport)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.place().waits() {
            self.note_request();
        }
        if self.place().is_lost(context) {
            // As if the client had ended it: nothing it has asked for is unanswered.
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = self.transport().poll_read(context, buffer);
        if read.is_ready() {
            if buffer.filled().len() > before {
                self.note_head();
            }
            return read;
        }
        if let Some(deadline) = self.head
            && self.poll_until(deadline, context).is_ready()
        {
            let slow = "the client has not sent a request's head in time";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, slow)));
        }
        Poll::Pending
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // Its answer: it may have been made since the last read.
        self.note_request();
        match self.transport().poll_write(context, bytes) {
            Poll::Ready(written) => {
                if let (Some(pace), Ok(written)) = (&mut self.taking, &written) {
                    pace.add(*written);
                }
                Poll::Ready(written)
            }
            Poll::Pending => self.poll_stalled(context),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.transport().poll_flush(context) {
            Poll::Ready(flushed) => {
                self.taking = None;
                self.place().sent();
                Poll::Ready(flushed)
            }
            Poll::Pending => self.poll_stalled(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.transport().poll_shutdown(context) {
            Poll::Pending => self.poll_stalled(context),
            ended @ Poll::Ready(_) => ended,
        }
    }
}

/// Calls the same method of the one that there is.
macro_rules! forward {
    ($self:ident, $method:ident ( $($argument:expr),* )) => {
        match $self.get_mut() {
            Transport::Plain(plain) => Pin::new(plain).$method($($argument),*),
            Transport::Tls(tls) => Pin::new(&mut **tls).$method($($argument),*),
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self, poll_read(context, buffer))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        forward!(self, poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, poll_shutdown(context))
    }
}
