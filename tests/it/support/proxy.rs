//! A Postgres socket between a server and its database, which can be told to fail as networks and hosts do.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use tokio::{
    io::copy_bidirectional,
    net::{UnixListener, UnixStream},
    sync::watch,
    task::JoinHandle,
};
use uuid::Uuid;

/// What becomes of bytes and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// They come through.
    Open,
    /// Bytes get lost without a word, and so do connections.
    Swallowed,
    /// Connections break, and new ones are refused.
    Refused,
}

pub struct Proxy {
    folder: PathBuf,
    listening: PathBuf,
    behind: PathBuf,
    way: watch::Sender<Way>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl Proxy {
    /// Puts itself between `url` and its server.
    pub fn before(url: &mut String) -> Proxy {
        let host = url.split("host=").nth(1).and_then(|rest| rest.split('&').next()).unwrap().to_string();
        let name = std::fs::read_dir(&host)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .find(|name| name.starts_with(".s.PGSQL.") && !name.ends_with(".lock"))
            .unwrap();
        let folder = std::env::temp_dir().join(format!("bn-{}", &Uuid::new_v4().simple().to_string()[..12]));
        std::fs::create_dir(&folder).unwrap();
        *url = url.replace(&host, folder.to_str().unwrap());
        let (listening, behind) = (folder.join(&name), Path::new(&host).join(&name));
        let proxy =
            Proxy { folder, listening, behind, way: watch::Sender::new(Way::Open), accepting: Mutex::default() };
        proxy.listen();
        proxy
    }

    pub fn goes(&self, way: Way) {
        let before = self.way.send_replace(way);
        if before == Way::Refused && way != Way::Refused {
            self.listen();
        }
        if way == Way::Refused {
            // A socket at which nobody listens refuses connections.
            self.accepting.lock().unwrap().take().unwrap().abort();
        }
    }

    fn listen(&self) {
        let _ = std::fs::remove_file(&self.listening); // there is none at first
        let listener = UnixListener::bind(&self.listening).unwrap();
        let accepting = tokio::spawn(accept(listener, self.behind.clone(), self.way.subscribe()));
        *self.accepting.lock().unwrap() = Some(accepting);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn accept(listener: UnixListener, behind: PathBuf, way: watch::Receiver<Way>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(pass(client, behind.clone(), way.clone()));
    }
}

/// Passes bytes both ways. What was once swallowed stays so: the connection is as good as cut.
async fn pass(mut client: UnixStream, behind: PathBuf, mut way: watch::Receiver<Way>) {
    let mut shut = way.clone();
    let passing = async {
        if *way.borrow_and_update() == Way::Open {
            let mut server = UnixStream::connect(behind).await?;
            tokio::select! {
                passed = copy_bidirectional(&mut client, &mut server) => return passed.map(drop),
                _ = way.wait_for(|way| *way != Way::Open) => {}
            }
            // Neither side hears of the other any more.
            std::future::pending::<()>().await;
        }
        std::future::pending().await
    };
    tokio::select! {
        _ = passing => {} // either side has hung up
        _ = shut.wait_for(|way| *way == Way::Refused) => {}
    }
}
