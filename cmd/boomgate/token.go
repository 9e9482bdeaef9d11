package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/boomgate/boomgate/provisioning"
)

type tokenOptions struct {
	conn     connection
	audience string
	scopes   []string
	decode   bool
	format   outputFormat
}

func newTokenCommand(a *app) *cobra.Command {
	var opts tokenOptions
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Get an access token with a credential",
		Long: `Get an access token and print it alone, for use as an MQTT password or a bearer token; -o json prints
the whole answer of the token endpoint, --decode what the token says (it checks nothing).

--scope asks for less than the credential has: a client that holds pub:a/# may ask for pub:a/b.`,
		Example: `  boomgate token --credential b1-001.json
  boomgate token --credential b1-001.json --scope pub:parking/v1/north/b1-001/state --decode
  boomgate token --audience boomgate:fleet -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runToken(cmd.Context(), a, opts) },
	}
	opts.conn.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&opts.audience, "audience", provisioning.AudienceMQTT, "`audience`: what the token is for")
	cmd.Flags().StringArrayVar(&opts.scopes, "scope", nil, "`scope` to ask for; repeatable (default: all that the client has)")
	cmd.Flags().BoolVar(&opts.decode, "decode", false, "print the token's header and claims in place of the token")
	opts.format.addFlag(cmd)
	completeFrom(cmd, "audience", provisioning.AudienceMQTT, provisioning.AudienceFleet)
	return cmd
}

func runToken(ctx context.Context, a *app, opts tokenOptions) error {
	cred, err := opts.conn.open(a)
	if err != nil {
		return err
	}
	token, err := tokenSource(ctx, cred, opts.audience, opts.scopes).Token()
	if err != nil {
		return explainTokenError(cred, err)
	}
	if opts.decode {
		return printDecoded(a, token.AccessToken, opts.format)
	}
	if opts.format.machine() {
		return opts.format.one(a.stdout, struct {
			AccessToken string `json:"access_token"`
			TokenType   string `json:"token_type"`
			ExpiresIn   any    `json:"expires_in"`
			Scope       any    `json:"scope"`
		}{token.AccessToken, token.TokenType, token.Extra("expires_in"), token.Extra("scope")})
	}
	_, err = fmt.Fprintln(a.stdout, token.AccessToken)
	return err
}

func printDecoded(a *app, token string, format outputFormat) error {
	var parts struct {
		Header json.RawMessage `json:"header"`
		Claims json.RawMessage `json:"claims"`
	}
	var err error
	if parts.Header, parts.Claims, err = splitToken(token); err != nil {
		return err
	}
	if !format.machine() {
		format = formatJSON // there is no better table of claims
	}
	return format.one(a.stdout, parts)
}

// splitToken gives the header and the claims of a JWT, unverified: what was just received over the connection to its issuer.
func splitToken(token string) (header, claims json.RawMessage, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, nil, errors.New("the token is no JWT")
	}
	if header, err = base64.RawURLEncoding.DecodeString(parts[0]); err == nil {
		claims, err = base64.RawURLEncoding.DecodeString(parts[1])
	}
	if err != nil || !json.Valid(header) || !json.Valid(claims) {
		return nil, nil, errors.New("the token is no JWT")
	}
	return header, claims, nil
}
