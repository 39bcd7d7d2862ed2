//! A UDP socket of the simulated network, as quinn wants it.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use turmoil::net::UdpSocket;

type Readable = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

pub struct Socket {
    socket: Arc<UdpSocket>,
    /// Waits for a datagram. While it does it holds the lock inside `socket`, so it is finished before one is taken.
    readable: Mutex<Option<Readable>>,
}

impl Socket {
    pub fn bind(address: SocketAddr) -> io::Result<Socket> {
        // It never waits, although it is async to look like tokio's.
        match pin!(UdpSocket::bind(address)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(socket) => Ok(Socket { socket: Arc::new(socket?), readable: Mutex::default() }),
            Poll::Pending => Err(io::Error::other("binding a simulated socket waited")),
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

// One datagram at a time, both ways: `max_transmit_segments` and `max_receive_segments` stay at 1.
impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit) -> io::Result<()> {
        self.socket.try_send_to(transmit.contents, transmit.destination).map(|_| ())
    }

    fn poll_recv(
        &self,
        context: &mut Context,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut readable = self.readable.lock().unwrap();
        loop {
            match self.socket.try_recv_from(&mut buffers[0]) {
                Ok((length, from)) => {
                    (meta[0].len, meta[0].stride, meta[0].addr) = (length, length, from);
                    return Poll::Ready(Ok(1));
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
                Err(_) => {}
            }
            let socket = Arc::clone(&self.socket);
            let waiting = readable.get_or_insert_with(|| Box::pin(async move { socket.readable().await }));
            ready!(waiting.as_mut().poll(context))?;
            *readable = None;
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// As on Linux, so that quinn looks for the longest datagram that gets through.
    fn may_fragment(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
