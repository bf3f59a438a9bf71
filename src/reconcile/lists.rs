//! Where the server's list comes from.

use std::future::Future;

use futures_util::{Stream, StreamExt};
use jiff::Timestamp;

use crate::client::{Client, ListItem, ListTimeouts, ReadError};

/// A list whose answer has begun.
#[derive(Debug)]
pub struct ServerList<I> {
    /// The server's clock when it began to answer (`Date`); none where it does not say.
    pub date: Option<Timestamp>,
    /// The requests. It ends without an error only where the list ended well.
    pub items: I,
}

/// A server that gives the list of its requests.
pub trait Lists {
    /// Asks for the list, once and unfiltered.
    ///
    /// # Errors
    /// No list begins.
    fn list(
        &self,
        timeouts: ListTimeouts,
    ) -> impl Future<Output = Result<ServerList<impl Stream<Item = Result<ListItem, ReadError>>>, ReadError>>;
}

impl Lists for Client {
    async fn list(
        &self,
        timeouts: ListTimeouts,
    ) -> Result<ServerList<impl Stream<Item = Result<ListItem, ReadError>>>, ReadError> {
        let list = Self::list(self, timeouts).await?;
        Ok(ServerList { date: list.date(), items: list.into_stream() })
    }
}

/// How reading a list ended.
#[derive(Debug)]
pub(super) struct ListRead {
    /// How many requests were read.
    pub(super) n_read: u64,
    /// How many of them nobody can say whose they are.
    pub(super) n_unread: u64,
    /// The server's clock.
    pub(super) date: Option<Timestamp>,
    /// Whether the list ended well, or why not.
    pub(super) end: Result<(), ReadError>,
}

/// Asks for the list; `take` is shown the server's clock and each request, and can stop it
/// with an error of its own.
pub(super) async fn read_list<E>(
    lists: &impl Lists,
    timeouts: ListTimeouts,
    mut take: impl FnMut(Option<Timestamp>, &ListItem) -> Result<(), E>,
) -> Result<ListRead, E> {
    let mut read = ListRead { n_read: 0, n_unread: 0, date: None, end: Ok(()) };
    let list = match lists.list(timeouts).await {
        Ok(list) => list,
        Err(error) => return Ok(ListRead { end: Err(error), ..read }),
    };
    read.date = list.date;
    let mut items = std::pin::pin!(list.items);
    while let Some(next) = items.next().await {
        let item = match next {
            Ok(item) => item,
            Err(error) => return Ok(ListRead { end: Err(error), ..read }),
        };
        take(read.date, &item)?;
        read.n_read += 1;
        match item {
            ListItem::Request(_) => {}
            ListItem::Unread { .. } => read.n_unread += 1,
        }
    }
    Ok(read)
}
