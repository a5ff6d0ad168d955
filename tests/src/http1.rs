//! HTTP/1.1 as exact bytes (RFC 9112). In: a request, byte for byte. Out: the parsed response. An ordinary client
//! would repair or refuse what tests want to send.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A connection's bytes, with or without TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Header fields in order, names in lower case.
pub(crate) type Fields = Vec<(String, Vec<u8>)>;

pub(crate) struct Response {
    pub status: u16,
    pub headers: Fields,
    pub body: Vec<u8>,
    pub trailers: Fields,
}

pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Sends the bytes and reads one final response. `bodyless`: the request was a HEAD.
    pub(crate) async fn exchange(&mut self, request: &[u8], bodyless: bool) -> io::Result<Response> {
        // A server that refuses early may close while we still write; its answer is there all the same.
        let _ = self.stream.write_all(request).await;
        let _ = self.stream.flush().await;
        loop {
            let (status, headers) = self.head().await?;
            if status < 200 {
                continue;
            }
            let (body, trailers) = self.body(status, &headers, bodyless).await?;
            return Ok(Response { status, headers, body, trailers });
        }
    }

    async fn head(&mut self) -> io::Result<(u16, Fields)> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; 128];
            let mut response = httparse::Response::new(&mut fields);
            match response.parse(&self.buffer).map_err(malformed)? {
                httparse::Status::Partial => self.fill().await?,
                httparse::Status::Complete(length) => {
                    let head = (response.code.unwrap_or(0), owned(response.headers));
                    self.buffer.drain(..length);
                    return Ok(head);
                }
            }
        }
    }

    /// RFC 9112 §6.3.
    async fn body(&mut self, status: u16, headers: &Fields, bodyless: bool) -> io::Result<(Vec<u8>, Fields)> {
        if bodyless || matches!(status, 204 | 304) {
            return Ok(Default::default());
        }
        let header = |name| headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_slice());
        if header("transfer-encoding") == Some(b"chunked") {
            return self.chunks().await;
        }
        let length = header("content-length").map(|text| str::from_utf8(text).ok().and_then(|text| text.parse().ok()));
        match length {
            Some(Some(length)) => Ok((self.take(length).await?, Vec::new())),
            Some(None) => Err(malformed("content-length")),
            None => {
                self.stream.read_to_end(&mut self.buffer).await?;
                Ok((std::mem::take(&mut self.buffer), Vec::new()))
            }
        }
    }

    async fn chunks(&mut self) -> io::Result<(Vec<u8>, Fields)> {
        let mut body = Vec::new();
        loop {
            let (start, size) = loop {
                match httparse::parse_chunk_size(&self.buffer).map_err(|_| malformed("chunk size"))? {
                    httparse::Status::Partial => self.fill().await?,
                    httparse::Status::Complete(found) => break found,
                }
            };
            self.buffer.drain(..start);
            if size == 0 {
                return Ok((body, self.trailers().await?));
            }
            let size = usize::try_from(size).map_err(malformed)?;
            let mut chunk = self.take(size + 2).await?;
            chunk.truncate(size);
            body.append(&mut chunk);
        }
    }

    async fn trailers(&mut self) -> io::Result<Fields> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; 32];
            match httparse::parse_headers(&self.buffer, &mut fields).map_err(malformed)? {
                httparse::Status::Partial => self.fill().await?,
                httparse::Status::Complete((length, fields)) => {
                    let trailers = owned(fields);
                    self.buffer.drain(..length);
                    return Ok(trailers);
                }
            }
        }
    }

    async fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    async fn fill(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn owned(fields: &[httparse::Header<'_>]) -> Fields {
    fields.iter().map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec())).collect()
}

fn malformed(why: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_string())
}
