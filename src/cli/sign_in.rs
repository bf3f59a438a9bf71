//! How calls sign in: the options, and what they make.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::config::ConfigError;
use super::layers::Origins;
use crate::client::{Auth, Negotiate, Secret};

#[derive(Debug, Args)]
#[command(next_help_heading = "Sign-in")]
pub(crate) struct SignInArgs {
    /// How to sign in [default: bearer where a token is given, else none]
    #[arg(long, value_name = "HOW")]
    pub(crate) auth: Option<AuthArg>,
    /// Sign in with the bearer token in this file [else the environment variable CMBATCH_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Negotiate: the file with the account's key [else KRB5_CLIENT_KTNAME, or the ticket of kinit]
    #[arg(long, value_name = "FILE")]
    pub(crate) keytab: Option<PathBuf>,
    /// Negotiate: the account, such as svc-cmbatch@CONTOSO.COM [default: the keytab's first]
    #[arg(long, value_name = "NAME")]
    pub(crate) principal: Option<String>,
    /// Negotiate: the name of the service, where it is not that of the server's host
    #[arg(long, value_name = "HTTP/HOST")]
    pub(crate) spn: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuthArg {
    /// Not at all
    None,
    /// With a bearer token
    Bearer,
    /// With Kerberos, as Windows Integrated Authentication asks for it
    Negotiate,
}

impl SignInArgs {
    /// Returns how calls sign in; `token` is the one of the environment.
    pub(crate) fn resolve(&self, origins: &Origins, token: Option<Secret>) -> Result<Auth, ConfigError> {
        let auth = self.auth.unwrap_or(match (&self.token_file, &token) {
            (None, None) => AuthArg::None,
            (Some(_), _) | (None, Some(_)) => AuthArg::Bearer,
        });
        let for_negotiate =
            [("keytab", self.keytab.is_some()), ("principal", self.principal.is_some()), ("spn", self.spn.is_some())];
        if auth != AuthArg::Negotiate
            && let Some((option, _)) = for_negotiate.into_iter().find(|(_, is_given)| *is_given)
        {
            return Err(ConfigError(format!("{} goes with --auth negotiate: add that", origins.name(option))));
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
            AuthArg::Negotiate => Ok(Auth::Negotiate(Negotiate {
                keytab: self.keytab.clone(),
                principal: self.principal.clone(),
                spn: self.spn.clone(),
            })),
        }
    }
}

/// Says as whom calls are made; who that is with Kerberos is known when the ticket is there.
pub(crate) fn account(user: &str, auth: &Auth) -> String {
    match auth {
        Auth::None => format!("{user} (no sign-in)"),
        Auth::BearerFile(path) => format!("{user} (bearer token of {})", path.display()),
        Auth::BearerEnv { name, .. } => format!("{user} (bearer token of {name})"),
        Auth::Negotiate(Negotiate { principal: Some(principal), .. }) => format!("{principal} (Kerberos)"),
        Auth::Negotiate(Negotiate { keytab: Some(keytab), .. }) => {
            format!("{user} (Kerberos, keytab {})", keytab.display())
        }
        Auth::Negotiate(_) => format!("{user} (Kerberos)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(auth: Option<AuthArg>) -> SignInArgs {
        SignInArgs { auth, token_file: None, keytab: None, principal: None, spn: None }
    }

    fn resolve(args: &SignInArgs, token: Option<&str>) -> Result<Auth, String> {
        let token = token.map(|token| Secret::new(token.to_owned()));
        args.resolve(&Origins::default(), token).map_err(|error| error.0)
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
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_that_do_not_go_together_say_what_does() {
        for (args, says) in [
            (SignInArgs { keytab: Some("k".into()), ..args(None) }, "--keytab goes with --auth negotiate"),
            (SignInArgs { spn: Some("s".into()), ..args(Some(AuthArg::Bearer)) }, "--spn goes with --auth negotiate"),
            (SignInArgs { principal: Some("p".into()), ..args(None) }, "--principal goes with --auth negotiate"),
            (args(Some(AuthArg::Bearer)), "there is no token: give --token-file FILE, or set CMBATCH_TOKEN"),
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
