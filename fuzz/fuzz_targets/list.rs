//! Any bytes as the server's list, in pieces as a network cuts them: a list that ends well is JSON, and every list of whole
//! request objects is read whole.

#![no_main]

use std::cell::RefCell;
use std::net::SocketAddr;

use cmbatch::client::{AllowHttp, BaseUrl, Client, Endpoint, Proxy, RequestObject};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// A client, and the listener that it asks.
struct Setting {
    runtime: Runtime,
    listener: TcpListener,
    client: Client,
}

impl Setting {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (listener, address): (TcpListener, SocketAddr) = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            (listener, address)
        });
        let base = BaseUrl::parse(&format!("http://{address}"), AllowHttp::LoopbackOnly).unwrap();
        let client = Client::new(&Endpoint { proxy: Proxy::None, ..Endpoint::new(base) }).unwrap();
        Self { runtime, listener, client }
    }

    /// Answers one call for the list with these bytes.
    async fn answer(&self, pieces: usize, body: &[u8]) {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).await;
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        for piece in body.chunks(pieces) {
            if stream.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Reads the list; gives the objects, and whether it ended well.
    async fn read(&self) -> (Vec<RequestObject>, bool) {
        let mut list = self.client.list().await.unwrap();
        let mut objects = Vec::new();
        loop {
            match list.next().await {
                Some(Ok(object)) => objects.push(object),
                Some(Err(_)) => return (objects, false),
                None => return (objects, true),
            }
        }
    }
}

/// What serde_json makes of the whole: the objects, where each of them is a request.
fn expected(body: &[u8]) -> Option<Vec<RequestObject>> {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let raw: Vec<Box<RawValue>> = match serde_json::from_slice(body) {
        Ok(all) => all,
        Err(_) => vec![serde_json::from_slice(body).ok()?],
    };
    raw.iter().map(|object| RequestObject::from_json(object.get().as_bytes()).ok()).collect()
}

thread_local! {
    static SETTING: RefCell<Option<Setting>> = const { RefCell::new(None) };
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, body)) = bytes.split_first() else { return };
    SETTING.with_borrow_mut(|setting| {
        let setting = setting.get_or_insert_with(Setting::new);
        let pieces = 1 + usize::from(*first) * 4;
        let (objects, ended_well) = setting.runtime.block_on(async {
            let (_, read) = tokio::join!(setting.answer(pieces, body), setting.read());
            read
        });
        match (expected(body), std::str::from_utf8(body)) {
            (Some(all), _) => assert_eq!((objects, ended_well), (all, true)),
            (None, Ok(_)) => assert!(!ended_well, "it ended well, and is not a list of requests"),
            // What stands in properties that are passed over need not be UTF-8, which serde_json wants of the whole.
            (None, Err(_)) => {}
        }
        if ended_well {
            let whole = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
            serde_json::from_slice::<IgnoredAny>(whole).expect("a list that ended well is JSON");
        }
    });
});
