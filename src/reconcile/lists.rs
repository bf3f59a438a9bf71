//! Where the server's list comes from.

use std::future::Future;
use std::pin::pin;

use futures_util::{Stream, StreamExt};

use crate::client::{Client, ListItem, ListTimeouts, ReadError, RequestObject};

/// A server that gives the list of its requests.
pub trait Lists {
    /// Asks for the list, once and unfiltered. The stream ends without an error only where the list ended well.
    ///
    /// # Errors
    /// No list begins.
    fn list(&self) -> impl Future<Output = Result<impl Stream<Item = Result<RequestObject, ReadError>>, ReadError>>;
}

impl Lists for Client {
    async fn list(&self) -> Result<impl Stream<Item = Result<RequestObject, ReadError>>, ReadError> {
        let list = Self::list(self, ListTimeouts::default()).await?.into_stream();
        Ok(list.map(|item| match item? {
            ListItem::Request(object) => Ok(object),
            ListItem::Unread { number, reason } => Err(ReadError::Object { number, reason }),
        }))
    }
}

/// How reading a list ended.
#[derive(Debug)]
pub(super) struct ListRead {
    /// How many requests were read.
    pub(super) n_objects: u64,
    /// Whether the list ended well, or why not.
    pub(super) end: Result<(), ReadError>,
}

/// Asks for the list and shows each request in it to `take`, which can stop it with an error of its own.
pub(super) async fn read_list<E>(
    lists: &impl Lists,
    mut take: impl FnMut(&RequestObject) -> Result<(), E>,
) -> Result<ListRead, E> {
    let mut n_objects = 0;
    let list = match lists.list().await {
        Ok(list) => list,
        Err(error) => return Ok(ListRead { n_objects, end: Err(error) }),
    };
    let mut list = pin!(list);
    while let Some(next) = list.next().await {
        match next {
            Ok(object) => take(&object)?,
            Err(error) => return Ok(ListRead { n_objects, end: Err(error) }),
        }
        n_objects += 1;
    }
    Ok(ListRead { n_objects, end: Ok(()) })
}
