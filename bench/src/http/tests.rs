use std::net::TcpListener;

use super::*;

/// A server that answers the connections it gets, in order, with these bytes, one write for each piece, and
/// closes each connection after its last piece.
fn serve(connections: Vec<Vec<Vec<u8>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for answers in connections {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.set_nodelay(true).expect("nodelay");
            for answer in answers {
                let mut request = [0; 1024];
                assert!(stream.read(&mut request).expect("a request") > 0);
                for byte in answer.chunks(1) {
                    stream.write_all(byte).expect("writing");
                }
            }
        }
    });
    address
}

fn request(address: SocketAddr) -> Request {
    Request::bare("GET", "/", address, "")
}

#[test]
fn a_chunked_answer_in_single_bytes_is_put_together_and_the_next_one_is_its_own() {
    let chunked = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                    5;a=b\r\nhello\r\n10\r\n, chunked data\r\n\r\n0\r\nTrailer: x\r\n\r\n";
    let sized = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let address = serve(vec![vec![chunked.to_vec(), sized.to_vec()]]);
    let mut connection = Connection::open(address).expect("a connection");
    let first = connection.send(&request(address), Body::Keep).expect("an answer");
    assert_eq!(
        (first.status, first.bytes, first.body.as_slice()),
        (200, 21, &b"hello, chunked data\r\n"[..])
    );
    let second = connection.send(&request(address), Body::Drop).expect("an answer");
    assert_eq!((second.status, second.bytes, second.body.len()), (200, 2, 0));
}

#[test]
fn a_connection_that_was_closed_between_two_requests_is_opened_anew() {
    let answer = b"HTTP/1.1 204 No Content\r\n\r\n".to_vec();
    let address = serve(vec![vec![answer.clone()], vec![answer]]);
    let mut connection = Connection::open(address).expect("a connection");
    for _ in 0..2 {
        assert_eq!(connection.send(&request(address), Body::Drop).expect("an answer").status, 204);
    }
}

#[test]
fn an_answer_cut_short_is_an_error_and_not_sent_again() {
    let address = serve(vec![vec![b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort".to_vec()]]);
    let mut connection = Connection::open(address).expect("a connection");
    let error = connection.send(&request(address), Body::Drop).err();
    assert_eq!(error.as_deref(), Some("the connection ended inside an answer"));
}

#[test]
fn the_body_of_an_error_is_in_its_message() {
    let address = serve(vec![vec![b"HTTP/1.1 507 Full\r\nContent-Length: 7\r\n\r\nno room".to_vec()]]);
    let mut connection = Connection::open(address).expect("a connection");
    let answer = connection.send(&request(address), Body::Drop).expect("an answer");
    assert_eq!(answer.success("an upload").err().as_deref(), Some("an upload: answered 507 `no room`"));
}
