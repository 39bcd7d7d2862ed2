//! Marionette, the remote protocol of Mozilla's programs: over TCP a length in decimal, a colon, and JSON.
//!
//! A command is `[0, number, name, parameters]`, its answer `[1, number, error, result]`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::kit::wait::eventually;

/// How long a script may run; what it waits for itself takes less.
const LONGEST_SCRIPT: Duration = Duration::from_secs(40);
const LONGEST_SILENCE: Duration = Duration::from_secs(50);

/// A session in the program's own rights.
pub struct Marionette {
    reader: BufReader<TcpStream>,
    number: u64,
}

impl Marionette {
    /// Waits until the program listens.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let stream = eventually("it listens to Marionette", || {
            TcpStream::connect(address).map_err(|error| error.to_string())
        });
        stream.set_read_timeout(Some(LONGEST_SILENCE)).unwrap();
        let mut session = Self { reader: BufReader::new(stream), number: 0 };
        let greeting = session.receive();
        assert_eq!(greeting["marionetteProtocol"], 3, "{greeting}");
        // The nodes' certificate is signed by nobody.
        let capabilities = json!({ "acceptInsecureCerts": true });
        session.command("WebDriver:NewSession", capabilities).unwrap();
        session.command("Marionette:SetContext", json!({ "value": "chrome" })).unwrap();
        let milliseconds = LONGEST_SCRIPT.as_millis() as u64;
        session.command("WebDriver:SetTimeouts", json!({ "script": milliseconds })).unwrap();
        session
    }

    /// One command.
    pub fn command(&mut self, name: &str, parameters: Value) -> Result<Value, String> {
        self.number += 1;
        let text = json!([0, self.number, name, parameters]).to_string();
        let stream = self.reader.get_mut();
        stream.write_all(format!("{}:{text}", text.len()).as_bytes()).map_err(|error| error.to_string())?;
        let answer = self.receive();
        if answer[2].is_null() { Ok(answer[3].clone()) } else { Err(answer[2].to_string()) }
    }

    /// Evaluates what is the body of an asynchronous function, with `parameters`; what it returns.
    #[track_caller]
    pub fn evaluate(&mut self, body: &str, parameters: &Value) -> Value {
        let script = format!(
            "const [parameters, done] = arguments;\n\
             (async () => {{ {body}\n }})().then(value => done({{ value }}), error => done({{ error: `${{error}}` }}));"
        );
        let answer =
            self.command("WebDriver:ExecuteAsyncScript", json!({ "script": script, "args": [parameters] }));
        let result = answer.unwrap_or_else(|error| panic!("{parameters}: {error}"));
        let result = &result["value"];
        assert!(result["error"].is_null(), "{parameters}: {}", result["error"]);
        result["value"].clone()
    }

    #[track_caller]
    fn receive(&mut self) -> Value {
        let mut length = Vec::new();
        self.reader.read_until(b':', &mut length).unwrap();
        let length = String::from_utf8(length).unwrap();
        let mut text = vec![0; length.trim_end_matches(':').parse().unwrap()];
        self.reader.read_exact(&mut text).unwrap();
        serde_json::from_slice(&text).unwrap()
    }
}
