//! How calls sign in: the options, and what they make.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::config::ConfigError;
use super::layers::Origins;
use super::output::shown;
use crate::client::{
    Auth, ClientProof, Identity, Mechanism, Negotiate, OAuth, Secret, SignedIn, StoredSecret, TokenUrl,
};

#[derive(Debug, Args)]
#[command(next_help_heading = "Sign-in")]
pub(crate) struct SignInArgs {
    /// How to sign in [default: bearer where a token is given, else none]
    #[arg(long, value_name = "HOW")]
    pub(crate) auth: Option<AuthArg>,
    /// Sign in with the bearer token in this file [else the environment variable CMBATCH_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Cookie: a file with the cookies of a browser's session, a line of NAME=VALUE; or a browser's export
    #[arg(long, value_name = "FILE")]
    pub(crate) cookie_file: Option<PathBuf>,
    /// Negotiate: the file with the account's key [else KRB5_CLIENT_KTNAME, or the ticket of kinit]
    #[arg(long, value_name = "FILE")]
    pub(crate) keytab: Option<PathBuf>,
    /// Negotiate, NTLM: the account, such as svc-cmbatch@CONTOSO.COM or CONTOSO\svc-cmbatch [default: the keytab's first]
    #[arg(long, value_name = "NAME")]
    pub(crate) principal: Option<String>,
    /// Negotiate, NTLM: a file with the account's password, on its first line [else the environment variable CMBATCH_PASSWORD]
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Negotiate, NTLM: the name of the service, where it is not that of the server's host
    #[arg(long, value_name = "HTTP/HOST")]
    pub(crate) spn: Option<String>,
    /// OAuth: the token server, such as https://adfs.contoso.com/adfs/oauth2/token
    #[arg(long, value_name = "URL")]
    pub(crate) token_url: Option<String>,
    /// OAuth: the client's id there
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// OAuth: a file with the client's secret [else the environment variable CMBATCH_CLIENT_SECRET]
    #[arg(long, value_name = "FILE")]
    pub(crate) client_secret_file: Option<PathBuf>,
    /// OAuth: sign in at the token server with this certificate instead of a secret: PEM with its key, or PKCS#12
    #[arg(long, value_name = "FILE", conflicts_with = "client_secret_file")]
    pub(crate) client_assertion_cert: Option<PathBuf>,
    /// OAuth: the private key of --client-assertion-cert, where it is not in that file
    #[arg(long, value_name = "FILE", requires = "client_assertion_cert")]
    pub(crate) client_assertion_key: Option<PathBuf>,
    /// OAuth: a file with the password of a PKCS#12 file
    #[arg(long, value_name = "FILE", requires = "client_assertion_cert")]
    pub(crate) client_assertion_password: Option<PathBuf>,
    /// OAuth: what the token is for (AD FS)
    #[arg(long, value_name = "URI")]
    pub(crate) resource: Option<String>,
    /// OAuth: the scope of the token
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: Option<String>,
}

/// Secrets of the environment, and where one is.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    /// A bearer token.
    pub(crate) token: Option<Secret>,
    /// The secret of an OAuth client.
    pub(crate) client: Option<Secret>,
    /// An account's password.
    pub(crate) password: Option<Secret>,
    /// The name of a keytab, as MIT's library has it (`KRB5_CLIENT_KTNAME`): with its type before it, or as a path.
    pub(crate) keytab: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuthArg {
    /// Not at all
    None,
    /// With a bearer token
    Bearer,
    /// With Kerberos, as Windows Integrated Authentication asks for it; with a password by NTLM where there is no Kerberos
    Negotiate,
    /// With NTLM, where there is no Kerberos: each connection by itself
    Ntlm,
    /// With a token of a token server (OAuth 2 client credentials, AD FS)
    Oauth,
    /// With the cookies of a browser's session
    Cookie,
}

impl AuthArg {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bearer => "bearer",
            Self::Negotiate => "negotiate",
            Self::Ntlm => "ntlm",
            Self::Oauth => "oauth",
            Self::Cookie => "cookie",
        }
    }
}

impl SignInArgs {
    /// Returns how calls sign in.
    pub(crate) fn resolve(&self, origins: &Origins, secrets: Secrets) -> Result<Auth, ConfigError> {
        let Secrets { token, client, password, keytab } = secrets;
        let auth = self.auth.unwrap_or(match (&self.token_file, &token) {
            (None, None) => AuthArg::None,
            (Some(_), _) | (None, Some(_)) => AuthArg::Bearer,
        });
        let (windows, negotiate, oauth) =
            (&[AuthArg::Negotiate, AuthArg::Ntlm][..], &[AuthArg::Negotiate][..], &[AuthArg::Oauth][..]);
        let with = [
            ("cookie-file", self.cookie_file.is_some(), &[AuthArg::Cookie][..]),
            ("keytab", self.keytab.is_some(), negotiate),
            ("principal", self.principal.is_some(), windows),
            ("password-file", self.password_file.is_some(), windows),
            ("spn", self.spn.is_some(), windows),
            ("token-url", self.token_url.is_some(), oauth),
            ("client-id", self.client_id.is_some(), oauth),
            ("client-secret-file", self.client_secret_file.is_some(), oauth),
            ("client-assertion-cert", self.client_assertion_cert.is_some(), oauth),
            ("resource", self.resource.is_some(), oauth),
            ("scope", self.scope.is_some(), oauth),
        ];
        if let Some((option, _, with)) = with.into_iter().find(|(_, is_given, with)| *is_given && !with.contains(&auth))
        {
            let with: Vec<String> = with.iter().map(|with| format!("--auth {}", with.name())).collect();
            return Err(ConfigError(format!("{} goes with {}: add that", origins.name(option), with.join(" or "))));
        }
        if auth != AuthArg::Bearer && self.token_file.is_some() {
            return Err(ConfigError(format!(
                "{} goes with --auth bearer, and {} says otherwise: leave one of the two out",
                origins.name("token-file"),
                origins.name("auth"),
            )));
        }
        match auth {
            AuthArg::None => Ok(Auth::None),
            AuthArg::Bearer => match (&self.token_file, token) {
                (Some(path), _) => Ok(Auth::BearerFile(path.clone())),
                (None, Some(value)) => Ok(Auth::BearerEnv { name: super::TOKEN_VARIABLE.to_owned(), value }),
                (None, None) => Err(ConfigError(format!(
                    "{}: there is no token: give --token-file FILE, or set {}",
                    origins.name("auth"),
                    super::TOKEN_VARIABLE
                ))),
            },
            AuthArg::Cookie => match &self.cookie_file {
                Some(path) => Ok(Auth::CookieFile(path.clone())),
                None => Err(ConfigError(format!("{}: cookie needs --cookie-file FILE", origins.name("auth")))),
            },
            AuthArg::Oauth => self.oauth(origins, client).map(|oauth| Auth::OAuth(Arc::new(oauth))),
            AuthArg::Negotiate | AuthArg::Ntlm => {
                self.windows(origins, auth, password, keytab).map(|windows| Auth::Negotiate(Arc::new(windows)))
            }
        }
    }

    fn windows(
        &self,
        origins: &Origins,
        auth: AuthArg,
        password: Option<Secret>,
        keytab: Option<String>,
    ) -> Result<Negotiate, ConfigError> {
        if cfg!(windows) && self.keytab.is_some() {
            return Err(ConfigError(format!(
                "{}: Windows has no keytabs: leave it out and run this as the account that signs in, or give --principal NAME and \
                 --password-file FILE",
                origins.name("keytab")
            )));
        }
        let password = match (&self.password_file, password) {
            (Some(_), _) if self.keytab.is_some() => {
                let (keytab, password) = (origins.name("keytab"), origins.name("password-file"));
                return Err(ConfigError(format!(
                    "{keytab} and {password} both say who signs in: leave one of them out"
                )));
            }
            (Some(path), _) => Some(StoredSecret::File(path.clone())),
            // One of the environment is for whoever has nothing else.
            (None, Some(password)) if self.keytab.is_none() => Some(StoredSecret::Given(password)),
            (None, _) => None,
        };
        let missing = |what: &str| ConfigError(format!("{}: {} needs {what}", origins.name("auth"), auth.name()));
        match (&self.principal, &password) {
            (_, None) if auth == AuthArg::Ntlm => {
                return Err(missing(&format!("--password-file FILE, or {}", super::PASSWORD_VARIABLE)));
            }
            (None, Some(_)) => return Err(missing("--principal NAME beside the password")),
            (_, None) | (Some(_), Some(_)) => {}
        }
        // Left to the library, its key would be offered again and again where it is refused while a ticket is still good.
        let of_environment = keytab.as_deref().and_then(keytab_file).filter(|_| password.is_none());
        Ok(Negotiate {
            keytab: self.keytab.clone().or(of_environment),
            principal: self.principal.clone(),
            spn: self.spn.clone(),
            password,
            only_ntlm: auth == AuthArg::Ntlm,
        })
    }

    fn oauth(&self, origins: &Origins, secret: Option<Secret>) -> Result<OAuth, ConfigError> {
        let missing = |what: &str| ConfigError(format!("{}: oauth needs {what}", origins.name("auth")));
        let token_url = self.token_url.as_ref().ok_or_else(|| missing("--token-url URL"))?;
        let token_url = token_url
            .parse::<TokenUrl>()
            .map_err(|error| ConfigError(format!("{}: {error}", origins.name("token-url"))))?;
        let client_id = self.client_id.clone().ok_or_else(|| missing("--client-id ID"))?;
        let proof = self.proof(origins, secret)?;
        let (resource, scope) = (self.resource.clone(), self.scope.clone());
        Ok(OAuth { token_url, client_id, proof, resource, scope })
    }

    /// Returns what the client shows to the token server: one thing, so that nobody has to guess which one was refused.
    fn proof(&self, origins: &Origins, secret: Option<Secret>) -> Result<ClientProof, ConfigError> {
        let certificate = self.client_assertion_cert.as_ref();
        match (certificate, &self.client_secret_file, secret) {
            (Some(_), secret_file, Some(_)) | (Some(_), secret_file @ Some(_), None) => {
                let other = match secret_file {
                    Some(_) => origins.name("client-secret-file"),
                    None => super::CLIENT_SECRET_VARIABLE.to_owned(),
                };
                let certificate = origins.name("client-assertion-cert");
                Err(ConfigError(format!("{certificate} stands in place of {other}: leave one of the two out")))
            }
            (Some(certificate), None, None) => Ok(ClientProof::Certificate(Identity {
                certificate: certificate.clone(),
                key: self.client_assertion_key.clone(),
                password: self.client_assertion_password.clone(),
            })),
            (None, Some(path), _) => Ok(ClientProof::Secret(StoredSecret::File(path.clone()))),
            (None, None, Some(secret)) => Ok(ClientProof::Secret(StoredSecret::Given(secret))),
            (None, None, None) => Err(ConfigError(format!(
                "{}: oauth needs --client-secret-file FILE, {}, or --client-assertion-cert FILE",
                origins.name("auth"),
                super::CLIENT_SECRET_VARIABLE
            ))),
        }
    }
}

/// Returns the file that a keytab's name means; none for what is no file.
fn keytab_file(name: &str) -> Option<PathBuf> {
    let path = match name.split_once(':') {
        Some(("FILE" | "WRFILE", path)) => path,
        Some((kind, _)) if !kind.contains('/') => return None,
        Some(_) | None => name,
    };
    std::path::absolute(path).ok()
}

/// Says as whom calls are made; who that is with Kerberos is known when the ticket is there.
pub(crate) fn account(user: &str, auth: &Auth) -> String {
    match auth {
        Auth::None => format!("{user} (no sign-in)"),
        Auth::BearerFile(path) => format!("{user} (bearer token of {})", shown(path)),
        Auth::CookieFile(path) => format!("{user} (session cookie of {})", shown(path)),
        Auth::BearerEnv { name, .. } => format!("{user} (bearer token of {name})"),
        Auth::OAuth(oauth) => format!("{} (OAuth client)", oauth.client_id),
        Auth::Negotiate(windows) => {
            let by = if windows.only_ntlm { "NTLM" } else { "Kerberos" };
            match (&windows.principal, &windows.keytab) {
                (Some(principal), _) => format!("{principal} ({by})"),
                (None, Some(keytab)) => format!("{user} ({by}, keytab {})", shown(keytab)),
                (None, None) => format!("{user} ({by})"),
            }
        }
    }
}

/// Says who signed in, and how.
pub(crate) fn signed_in(who: &SignedIn) -> String {
    let how = match (who.mechanism, &who.instead) {
        (Mechanism::Kerberos, _) => "Kerberos",
        (Mechanism::Ntlm, None) => "NTLM",
        (Mechanism::Ntlm, Some(_)) => "NTLM instead of Kerberos",
    };
    format!("{} ({how})", who.principal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(auth: Option<AuthArg>) -> SignInArgs {
        SignInArgs {
            auth,
            token_file: None,
            cookie_file: None,
            keytab: None,
            principal: None,
            password_file: None,
            spn: None,
            token_url: None,
            client_id: None,
            client_secret_file: None,
            client_assertion_cert: None,
            client_assertion_key: None,
            client_assertion_password: None,
            resource: None,
            scope: None,
        }
    }

    fn resolve(args: &SignInArgs, token: Option<&str>) -> Result<Auth, String> {
        let token = token.map(|token| Secret::new(token.to_owned()));
        args.resolve(&Origins::default(), Secrets { token, ..Secrets::default() }).map_err(|error| error.0)
    }

    #[test]
    fn what_is_given_says_how_unless_something_else_is_said() {
        assert!(matches!(resolve(&args(None), None), Ok(Auth::None)));
        assert!(matches!(resolve(&args(None), Some("t")), Ok(Auth::BearerEnv { .. })));
        let file = SignInArgs { token_file: Some("t".into()), ..args(None) };
        assert!(matches!(resolve(&file, Some("t")), Ok(Auth::BearerFile(_))));
        // A token of the environment is for whoever asks for it.
        assert!(matches!(resolve(&args(Some(AuthArg::None)), Some("t")), Ok(Auth::None)));
        let keytab = SignInArgs { keytab: Some("k".into()), ..args(Some(AuthArg::Negotiate)) };
        match resolve(&keytab, Some("t")) {
            Ok(Auth::Negotiate(settings)) => assert_eq!(settings.keytab, Some("k".into())),
            Err(said) if cfg!(windows) => assert!(said.starts_with("--keytab: Windows has no keytabs"), "{said}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_client_shows_a_secret_or_a_certificate_and_never_both() {
        let oauth = SignInArgs {
            token_url: Some("https://adfs.test/".into()),
            client_id: Some("c".into()),
            client_assertion_cert: Some("cert".into()),
            client_assertion_password: Some("password".into()),
            ..args(Some(AuthArg::Oauth))
        };
        let resolve = |args: &SignInArgs, client: Option<&str>| {
            let client = client.map(|secret| Secret::new(secret.to_owned()));
            args.resolve(&Origins::default(), Secrets { client, ..Secrets::default() }).map_err(|error| error.0)
        };
        match resolve(&oauth, None) {
            Ok(Auth::OAuth(oauth)) => {
                let expected = Identity { certificate: "cert".into(), key: None, password: Some("password".into()) };
                assert!(matches!(&oauth.proof, ClientProof::Certificate(identity) if *identity == expected));
            }
            other => panic!("{other:?}"),
        }
        let said = resolve(&oauth, Some("hunter2")).unwrap_err();
        assert_eq!(said, "--client-assertion-cert stands in place of CMBATCH_CLIENT_SECRET: leave one of the two out");
        let both = SignInArgs { client_secret_file: Some("s".into()), ..oauth };
        assert!(resolve(&both, None).unwrap_err().contains("stands in place of --client-secret-file"));
    }

    #[test]
    fn a_keytab_of_the_environment_is_one_like_another() {
        let negotiate = |args: &SignInArgs, password: Option<&str>, keytab: &str| {
            let password = password.map(|text| Secret::new(text.to_owned()));
            let secrets = Secrets { password, keytab: Some(keytab.to_owned()), ..Secrets::default() };
            match args.resolve(&Origins::default(), secrets) {
                Ok(Auth::Negotiate(settings)) => settings.keytab.clone().map(|path| path.display().to_string()),
                other => panic!("{other:?}"),
            }
        };
        let bare = args(Some(AuthArg::Negotiate));
        assert_eq!(negotiate(&bare, None, "FILE:/etc/svc.keytab").as_deref(), Some("/etc/svc.keytab"));
        assert_eq!(negotiate(&bare, None, "/etc/svc.keytab").as_deref(), Some("/etc/svc.keytab"));
        let here = std::path::absolute("svc.keytab").unwrap().display().to_string();
        for relative in ["svc.keytab", "FILE:svc.keytab", "WRFILE:svc.keytab"] {
            assert_eq!(negotiate(&bare, None, relative).as_ref(), Some(&here));
        }
        assert_eq!(negotiate(&bare, None, "MEMORY:x"), None);
        let given = SignInArgs { keytab: Some("k".into()), ..args(Some(AuthArg::Negotiate)) };
        assert_eq!(negotiate(&given, None, "/etc/svc.keytab").as_deref(), Some("k"));
        let named = SignInArgs { principal: Some("svc@R".into()), ..args(Some(AuthArg::Negotiate)) };
        assert_eq!(negotiate(&named, Some("p"), "/etc/svc.keytab"), None);
    }

    #[test]
    fn options_that_do_not_go_together_say_what_does() {
        for (args, says) in [
            (SignInArgs { keytab: Some("k".into()), ..args(None) }, "--keytab goes with --auth negotiate"),
            (
                SignInArgs { spn: Some("s".into()), ..args(Some(AuthArg::Bearer)) },
                "--spn goes with --auth negotiate or --auth ntlm: add that",
            ),
            (
                SignInArgs { keytab: Some("k".into()), ..args(Some(AuthArg::Ntlm)) },
                "--keytab goes with --auth negotiate",
            ),
            (args(Some(AuthArg::Ntlm)), "ntlm needs --password-file FILE, or CMBATCH_PASSWORD"),
            (
                SignInArgs { password_file: Some("p".into()), ..args(Some(AuthArg::Negotiate)) },
                "negotiate needs --principal NAME",
            ),
            (
                SignInArgs {
                    keytab: Some("k".into()),
                    password_file: Some("p".into()),
                    ..args(Some(AuthArg::Negotiate))
                },
                if cfg!(windows) { "no keytabs" } else { "--keytab and --password-file both say who signs in" },
            ),
            (SignInArgs { principal: Some("p".into()), ..args(None) }, "--principal goes with --auth negotiate"),
            (args(Some(AuthArg::Bearer)), "there is no token: give --token-file FILE, or set CMBATCH_TOKEN"),
            (SignInArgs { cookie_file: Some("c".into()), ..args(None) }, "--cookie-file goes with --auth cookie"),
            (args(Some(AuthArg::Cookie)), "cookie needs --cookie-file FILE"),
            (args(Some(AuthArg::Oauth)), "oauth needs --token-url URL"),
            (SignInArgs { client_id: Some("c".into()), ..args(None) }, "--client-id goes with --auth oauth"),
            (
                SignInArgs { token_url: Some("http://adfs.test/".into()), ..args(Some(AuthArg::Oauth)) },
                "write the token server's address as https",
            ),
            (
                SignInArgs {
                    token_url: Some("https://adfs.test/".into()),
                    client_id: Some("c".into()),
                    ..args(Some(AuthArg::Oauth))
                },
                "oauth needs --client-secret-file FILE, CMBATCH_CLIENT_SECRET, or --client-assertion-cert FILE",
            ),
            (
                SignInArgs { client_assertion_cert: Some("c".into()), ..args(None) },
                "--client-assertion-cert goes with --auth oauth",
            ),
            (
                SignInArgs { token_file: Some("t".into()), ..args(Some(AuthArg::Negotiate)) },
                "--token-file goes with --auth bearer, and --auth says otherwise",
            ),
        ] {
            let said = resolve(&args, None).unwrap_err();
            assert!(said.contains(says), "{said}");
        }
    }
}
