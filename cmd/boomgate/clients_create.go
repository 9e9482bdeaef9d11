package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

type createOptions struct {
	conn            connection
	fields          clientFields
	id              string
	name            string
	secretExpiresAt string
	outputFile      string
	format          outputFormat
}

func newClientsCreateCommand(a *app, kind clientKind) *cobra.Command {
	var opts createOptions
	cmd := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Create a " + kind.singular + " and print its credential, once",
		Long: `Create a ` + kind.singular + `. Its secret is shown this once and kept nowhere in clear: write it to a file with
--output-file (mode 0600), or keep what -o json prints. Either is what --credential reads.

Scopes may hold placeholders that take the client's own values: {client_id}, {kind}, {labels.NAME},
{attributes.NAME}.`,
		Example: strings.Join([]string{
			"  boomgate " + kind.plural + " create " + kind.example,
			"  boomgate " + kind.plural + " create --id " + kind.id + " --output-file " + kind.id + ".json",
			"  boomgate " + kind.plural + " create --scope '" + exampleScope(kind) + "' --token-ttl 15m -o json",
		}, "\n"),
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				opts.name = args[0]
			}
			return runCreate(cmd.Context(), a, kind, opts)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	opts.conn.addFlags(cmd.Flags())
	opts.fields.addFlags(a, cmd, kind, &opts.conn)
	cmd.Flags().StringVar(&opts.id, "id", "", "client `ID`: a-z, 0-9 and '-' (default: a random one)")
	cmd.Flags().StringVar(&opts.secretExpiresAt, "secret-expires-at", "", "`time` at which the secret ends, as 2027-01-31 or 2027-01-31T12:00:00Z (default: never)")
	cmd.Flags().StringVar(&opts.outputFile, "output-file", "", "new `file` for the credential, readable by its owner only; the secret is then not printed")
	opts.format.addFlag(cmd)
	return cmd
}

func exampleScope(kind clientKind) string {
	if kind.audience == operators.audience {
		return "devices:read"
	}
	return "pub:plant/{client_id}/#"
}

func runCreate(ctx context.Context, a *app, kind clientKind, opts createOptions) error {
	command := "boomgate " + kind.plural + " create"
	body, err := opts.fields.create()
	if err != nil {
		return usageError{err: err, command: command}
	}
	body.ID, body.Name = opts.id, opts.name
	if body.SecretExpiresAt, err = parseTime(opts.secretExpiresAt); err != nil {
		return usagef(command, "--secret-expires-at %w", err)
	}
	if len(body.Roles)+len(body.Grants) == 0 {
		fmt.Fprintf(a.stderr, "note: without --role or --scope the %s may do nothing yet\n", kind.singular)
	}
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	return giveCredential(a, opts.outputFile, opts.format, "Created "+kind.singular, func() (apiAnswer, error) {
		return api.do(ctx, apiCall{method: http.MethodPost, path: kind.path(), body: body})
	})
}

// giveCredential makes a credential and hands it over: in a new file, or printed. The file comes first, so that nothing is made
// that cannot be kept.
func giveCredential(a *app, outputFile string, format outputFormat, done string, request func() (apiAnswer, error)) error {
	var file *credentialFile
	if outputFile != "" {
		var err error
		if file, err = createCredentialFile(outputFile); err != nil {
			return err
		}
	}
	answer, err := request()
	if err == nil && file != nil {
		err = file.keep(answer.body)
	} else if file != nil {
		file.discard()
	}
	if err != nil {
		return err
	}
	if format.machine() {
		return printCredential(a, format, answer, file != nil)
	}
	cred, err := decode[Credential](answer)
	if err != nil {
		return err
	}
	secret := cred.ClientSecret + "   (shown once: keep it now)"
	if file != nil {
		secret = "in " + outputFile
	}
	expires := "never"
	if cred.ClientSecretExpiresAt != nil {
		expires = clock(*cred.ClientSecretExpiresAt)
	}
	fmt.Fprintf(a.stdout, "%s %s\n", done, cred.ClientID)
	return printAligned(a.stdout, [][]string{
		{"  client_id", cred.ClientID},
		{"  client_secret", secret},
		{"  expires", expires},
		{"  token_endpoint", cred.TokenEndpoint},
		{"  mqtt_url", cred.MQTTURL},
	})
}

// printCredential prints the whole answer for a program, without the secret where a file has it.
func printCredential(a *app, format outputFormat, answer apiAnswer, kept bool) error {
	if !kept {
		return format.one(a.stdout, answer.body)
	}
	members, err := decode[map[string]json.RawMessage](answer)
	if err != nil {
		return err
	}
	delete(members, "client_secret")
	return format.one(a.stdout, members)
}

// parseTime reads a day (its beginning, in UTC) or a time of RFC 3339; "" is nil.
func parseTime(text string) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return &t, nil
		}
	}
	return nil, fmt.Errorf("%q: use 2027-01-31 or 2027-01-31T12:00:00Z", text)
}
