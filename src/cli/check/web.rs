//! `sidewatch check web`: checks a web configuration file and its certificates.

use std::io::Write;
use std::path::Path;

use super::report::{INVALID, REMARKS};
use crate::cli::error::Error;
use crate::config::load_web;
use crate::publish::web::Web;
use crate::runtime::clock;

/// A certificate that expires within this many seconds is a remark.
const EXPIRES_SOON: i64 = 14 * 24 * 3600;

/// Checks one file, prints every problem or every remark, and returns the exit code.
pub(super) fn check(out: &mut dyn Write, file: &Path) -> Result<u8, Error> {
    let name = file.display();
    let (code, text) = match load_web(file) {
        Err(problems) => (INVALID, format!("{problems}\n")),
        Ok(web) => {
            let remarks = remarks(&web, clock::now().as_millis() / 1000);
            let code = if remarks.is_empty() { 0 } else { REMARKS };
            let lines: String = remarks
                .iter()
                .map(|remark| format!("{name}: {remark}\n"))
                .collect();
            let valid = "the web configuration is valid";
            (code, format!("{lines}{name}: {valid}\n"))
        }
    };
    write!(out, "{text}").map_err(|error| Error::unprintable(&error))?;
    Ok(code)
}

/// Settings that are valid and probably not intended. `now` is in Unix seconds.
fn remarks(web: &Web, now: i64) -> Vec<String> {
    let mut remarks = Vec::new();
    if web.tls.is_none() && !web.users.is_empty() {
        remarks.push(
            "basic_auth_users without tls_server_config sends passwords unencrypted over the network"
                .to_owned(),
        );
    }
    match web.not_after().map(|ends| ends - now) {
        Some(left) if left <= 0 => {
            remarks.push("tls_server_config.cert_file: the certificate has expired".to_owned());
        }
        Some(left) if left < EXPIRES_SOON => {
            let days = left / (24 * 3600);
            remarks.push(format!(
                "tls_server_config.cert_file: the certificate expires in {days} days"
            ));
        }
        _ => {}
    }
    remarks
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{check, remarks};
    use crate::config::load_web;

    #[test]
    fn an_expired_certificate_and_an_unencrypted_password_are_remarks() {
        let dir = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        let cert = params.self_signed(&key).unwrap();
        fs::write(dir.path().join("tls.crt"), cert.pem()).unwrap();
        fs::write(dir.path().join("tls.key"), key.serialize_pem()).unwrap();
        let path = dir.path().join("web.yml");
        fs::write(
            &path,
            "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n",
        )
        .unwrap();
        let mut out = Vec::new();
        assert_eq!(check(&mut out, &path).unwrap(), 3);
        let web = load_web(&path).unwrap();
        let end = 1_577_836_800;
        let at = |now: i64| remarks(&web, now);
        assert_eq!(at(end - 20 * 86_400), Vec::<String>::new());
        assert!(at(end - 2 * 86_400)[0].ends_with("expires in 2 days"));
        assert!(at(end)[0].ends_with("has expired"));
        let hash = bcrypt::hash("x", 4).unwrap();
        fs::write(&path, format!("basic_auth_users: {{a: {hash}}}\n")).unwrap();
        let web = load_web(&path).unwrap();
        assert!(remarks(&web, 0)[0].contains("unencrypted"));
        fs::write(&path, "basic_auth_user: {}\n").unwrap();
        let mut out = Vec::new();
        assert_eq!(check(&mut out, &path).unwrap(), 1);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("did you mean basic_auth_users?"), "{text}");
    }
}
