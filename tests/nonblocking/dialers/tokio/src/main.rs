// SPDX-License-Identifier: Apache-2.0
//! dial-tokio HOST PORT COUNT PARALLEL: TcpStream::connect() in three threads; one line of SECONDS RESULT for each connection.
use std::env::args;
use std::io::{Error, ErrorKind};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

async fn ask(address: String) -> Result<String, Error> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    let mut line = String::new();
    stream.write_all(b"WHO\n").await?;
    stream.read_line(&mut line).await?;
    Ok(line.trim().to_string())
}

async fn one(address: String) {
    let began = Instant::now();
    let answer = tokio::time::timeout(Duration::from_secs(3), ask(address)).await;
    let result = answer.unwrap_or_else(|_| Err(Error::from(ErrorKind::TimedOut)));
    let told = result.unwrap_or_else(|error| format!("{:?}", error.kind()));
    println!("{:.6} {}", began.elapsed().as_secs_f64(), told);
}

#[tokio::main(flavor = "multi_thread", worker_threads = 3)]
async fn main() {
    let words: Vec<String> = args().collect();
    let address = format!("{}:{}", words[1], words[2]);
    let mut left: usize = words[3].parse().unwrap();
    let parallel: usize = words[4].parse().unwrap();
    while left > 0 {
        let tasks: Vec<_> = (0..parallel.min(left)).map(|_| tokio::spawn(one(address.clone()))).collect();
        left -= tasks.len();
        for task in tasks {
            task.await.unwrap();
        }
    }
}
