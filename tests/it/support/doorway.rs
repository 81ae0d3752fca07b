//! An address at which a router answers, or nobody does.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use binnacle::{
    http::{self, Listener},
    worker::Stop,
};
use tokio::{net::TcpListener, task::JoinHandle};

pub struct Doorway {
    address: SocketAddr,
    open: Option<(Stop, JoinHandle<()>)>,
}

impl Doorway {
    /// An address that refuses connections for now.
    pub async fn shut() -> Doorway {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Doorway { address: listener.local_addr().unwrap(), open: None }
    }

    pub async fn opened(router: Router) -> Doorway {
        let mut doorway = Doorway::shut().await;
        doorway.open(router).await;
        doorway
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn open(&mut self, router: Router) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let (stop, shutdown) = Stop::new();
        let serving = tokio::spawn(async move {
            http::serve(Listener::Tcp(listener), router, shutdown, Duration::ZERO).await.unwrap();
        });
        self.open = Some((stop, serving));
    }

    /// Refuses connections from now on, and cuts those that are open.
    pub async fn close(&mut self) {
        if let Some((stop, serving)) = self.open.take() {
            stop.now();
            serving.await.unwrap();
        }
    }
}
