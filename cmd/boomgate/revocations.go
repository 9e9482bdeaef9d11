package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/boomgate/boomgate/provisioning"
)

const revocationsPath = "/v1/revocations"

// newRevocation is the body that makes one.
type newRevocation struct {
	ClientID     string     `json:"client_id,omitempty"`
	TokenID      string     `json:"token_id,omitempty"`
	CredentialID string     `json:"credential_id,omitempty"`
	IssuedBefore *time.Time `json:"issued_before,omitempty"`
	ExpiresAt    *time.Time `json:"expires_at,omitempty"`
	Reason       string     `json:"reason,omitempty"`
}

type revocationOptions struct {
	conn         connection
	body         newRevocation
	issuedBefore string
	expiresAt    string
	limit        int
	format       outputFormat
}

func newRevocationsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revocations",
		Short: "Revoke tokens, and see which are revoked",
		Long: `A revocation makes tokens worthless before they expire: one token by its ID (jti), or those of a client
that were issued before a time. Live sessions of such tokens end at once. A revocation survives restarts and is
forgotten when the last token that it covers has expired.

To stop a client altogether, disable it; to end one of its secrets, boomgate devices retire-secret; to end
everything that a signing key has signed, boomgate keys revoke.`,
		Example: `  boomgate revocations create --token-id 3yWq0rN1m0b2m3Jr5nF9Lw --reason 'seen in a log'
  boomgate revocations create --client-id b2-017 --issued-before 2027-01-31T12:00:00Z
  boomgate revocations list`,
	}
	cmd.AddCommand(newRevocationsCreateCommand(a), newRevocationsListCommand(a))
	return cmd
}

func newRevocationsCreateCommand(a *app) *cobra.Command {
	var opts revocationOptions
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Revoke a token, or a client's tokens, and close their sessions",
		Example: `  boomgate revocations create --token-id 3yWq0rN1m0b2m3Jr5nF9Lw
  boomgate revocations create --client-id b2-017 --issued-before 2027-01-31T12:00:00Z`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRevocationCreate(cmd.Context(), a, opts) },
	}
	opts.conn.addFlags(cmd.Flags())
	flags := cmd.Flags()
	flags.StringVar(&opts.body.TokenID, "token-id", "", "`jti` of the token")
	flags.StringVar(&opts.body.ClientID, "client-id", "", "`client` whose tokens are revoked")
	flags.StringVar(&opts.body.CredentialID, "credential-id", "", "only those that were fetched with this `secret` (its ID)")
	flags.StringVar(&opts.issuedBefore, "issued-before", "", "only those issued before this `time`, as 2027-01-31T12:00:00Z (default: now, if only a client is named)")
	flags.StringVar(&opts.expiresAt, "expires-at", "", "`time` at which the last of these tokens expires (default: after the longest life of a token)")
	flags.StringVar(&opts.body.Reason, "reason", "", "why, for whoever reads the list")
	cmd.MarkFlagsOneRequired("token-id", "client-id")
	opts.format.addFlag(cmd)
	_ = cmd.RegisterFlagCompletionFunc("client-id", completeIDs(a, &opts.conn, devices.path()))
	return cmd
}

func runRevocationCreate(ctx context.Context, a *app, opts revocationOptions) error {
	body := opts.body
	var err error
	if body.IssuedBefore, err = parseTime(opts.issuedBefore); err != nil {
		return usagef("boomgate revocations create", "--issued-before %w", err)
	}
	if body.ExpiresAt, err = parseTime(opts.expiresAt); err != nil {
		return usagef("boomgate revocations create", "--expires-at %w", err)
	}
	if body.TokenID == "" && body.CredentialID == "" && body.IssuedBefore == nil {
		now := time.Now().UTC()
		body.IssuedBefore = &now
	}
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	answer, err := api.do(ctx, apiCall{method: http.MethodPost, path: revocationsPath, body: body})
	if err != nil {
		return err
	}
	if opts.format.machine() {
		return opts.format.one(a.stdout, answer.body)
	}
	result, err := decode[struct {
		Revocation provisioning.Revocation `json:"revocation"`
		Receipt    receipt                 `json:"receipt"`
	}](answer)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "Revoked until %s as %s%s\n", clock(result.Revocation.ExpiresAt), result.Revocation.ID, result.Receipt)
	return err
}

func newRevocationsListCommand(a *app) *cobra.Command {
	var opts revocationOptions
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List revocations that are not forgotten yet",
		Example: "  boomgate revocations list\n  boomgate revocations list -o ndjson",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := newAPIClient(cmd.Context(), a, opts.conn)
			if err != nil {
				return err
			}
			columns := []string{"ID", "CLIENT", "TOKEN", "SECRET", "KEY", "ISSUED BEFORE", "FORGOTTEN", "CREATED", "BY", "REASON"}
			return printList(a, opts.format, "revocations", columns, revocationRow, func(visit func([]json.RawMessage) error) error {
				return api.each(cmd.Context(), listing{path: revocationsPath, size: maxPage, limit: opts.limit}, visit)
			})
		},
	}
	opts.conn.addFlags(cmd.Flags())
	cmd.Flags().IntVar(&opts.limit, "limit", 0, "at most so many (0: all)")
	opts.format.addFlag(cmd)
	return cmd
}

func revocationRow(r provisioning.Revocation) []string {
	before := ""
	if !r.IssuedBefore.IsZero() {
		before = clock(r.IssuedBefore)
	}
	return []string{
		r.ID, r.ClientID, r.TokenID, r.CredentialID, r.KeyID, before, clock(r.ExpiresAt), clock(r.CreatedAt), r.CreatedBy, r.Reason,
	}
}
