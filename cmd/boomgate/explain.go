package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

const (
	explainPath = "/v1/explain"

	// maxTokenFile bounds what is read as a token, in bytes.
	maxTokenFile = 16 << 10
)

// explainActions are what can be asked about beside a CONNECT.
var explainActions = []string{"publish", "subscribe", "receive"}

type explainOptions struct {
	conn      connection
	last      string
	tokenFile string
	question  fleetapi.ExplainRequest
	connect   fleetapi.ConnectQuestion
	will      fleetapi.WillQuestion
	format    outputFormat
}

func newExplainCommand(a *app) *cobra.Command {
	var opts explainOptions
	cmd := &cobra.Command{
		Use:   "explain [CLIENT] [publish|subscribe|receive TOPIC]",
		Short: "Say why a client may or may not do something, and what would change it",
		Long: `Explain what the gate would decide, with every check in its order: for a client as it stands now, or for a
token (--token-file, - for standard input). Without an action it explains a CONNECT, with --mqtt-client-id and
--will-topic. It asks the running gate's own code and changes nothing.

--last CLIENT tells why a client was refused lately, at the gate or at the token endpoint. What somebody without a
valid credential only claimed to be is marked as claimed.

The exit code is 0 whether the verdict is allowed or refused.`,
		Example: `  boomgate explain b2-017 publish parking/v1/north/b2-018/state
  boomgate explain board subscribe 'parking/v1/#'
  boomgate explain b2-017 --mqtt-client-id b2-018 --will-topic 'parking/v1/north/b2-017/$state'
  boomgate token --credential b2-017.json | boomgate explain --token-file - publish a/b
  boomgate explain --last b2-017`,
		Args: cobra.MaximumNArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.last != "" {
				return runExplainLast(cmd.Context(), a, args, opts)
			}
			return runExplain(cmd.Context(), a, args, opts)
		},
	}
	opts.conn.addFlags(cmd.Flags())
	flags := cmd.Flags()
	flags.StringVar(&opts.last, "last", "", "tell why this `client` was refused lately")
	flags.StringVar(&opts.tokenFile, "token-file", "", "`file` with an access token to ask about in place of a client; - reads standard input")
	flags.StringVar(&opts.connect.MQTTClientID, "mqtt-client-id", "", "MQTT client `ID` of the connection (default: the client's own; for a token, one that the server assigns)")
	flags.StringVar(&opts.connect.Thumbprint, "thumbprint", "", "x5t#S256 of the certificate that the connection presents")
	flags.StringVar(&opts.will.Topic, "will-topic", "", "`topic` of the connection's will")
	flags.Uint8Var(&opts.will.QoS, "will-qos", 0, "QoS of the will")
	flags.BoolVar(&opts.will.Retain, "will-retain", false, "the will is to be retained")
	flags.Uint8Var(&opts.question.QoS, "qos", 0, "QoS of the message or subscription")
	flags.BoolVar(&opts.question.Retain, "retain", false, "the message is to be retained")
	flags.IntVar(&opts.question.PayloadBytes, "payload-bytes", 0, "size of the message")
	cmd.MarkFlagsMutuallyExclusive("last", "token-file")
	opts.format.addFlag(cmd)
	cmd.ValidArgsFunction = completeIDs(a, &opts.conn, devices.path())
	return cmd
}

// ask turns the command line into a question.
func (o explainOptions) ask(a *app, args []string) (fleetapi.ExplainRequest, error) {
	q := o.question
	if o.tokenFile != "" {
		token, err := readToken(a, o.tokenFile)
		if err != nil {
			return q, err
		}
		q.Token = token
	} else {
		if len(args) == 0 {
			return q, usagef("boomgate explain", "name a client, or --token-file")
		}
		q.ClientID, args = args[0], args[1:]
	}
	if o.will.Topic != "" {
		o.connect.Will = &o.will
	}
	if len(args) == 0 || o.connect != (fleetapi.ConnectQuestion{}) {
		o.connect.MQTTClientID = firstOf(o.connect.MQTTClientID, q.ClientID)
		q.Connect = &o.connect
	}
	switch {
	case len(args) == 0:
	case !slices.Contains(explainActions, args[0]):
		return q, usagef("boomgate explain", "%q is no action: use %s", args[0], strings.Join(explainActions, ", "))
	case len(args) != 2:
		return q, usagef("boomgate explain", "name one topic after %s", args[0])
	default:
		q.Action, q.Topic = args[0], args[1]
	}
	return q, nil
}

func readToken(a *app, name string) (string, error) {
	source := a.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return "", fmt.Errorf("open the token: %w", err)
		}
		defer func() { _ = file.Close() }()
		source = file
	}
	text, err := io.ReadAll(io.LimitReader(source, maxTokenFile))
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", errors.New("there is no token in " + name)
	}
	return token, nil
}

func runExplain(ctx context.Context, a *app, args []string, opts explainOptions) error {
	question, err := opts.ask(a, args)
	if err != nil {
		return err
	}
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	answer, err := api.do(ctx, apiCall{method: http.MethodPost, path: explainPath, body: question})
	if err != nil {
		return err
	}
	if opts.format.machine() {
		return opts.format.one(a.stdout, answer.body)
	}
	e, err := decode[fleetapi.Explanation](answer)
	if err != nil {
		return err
	}
	return printExplanation(a.stdout, e)
}

func printExplanation(w io.Writer, e fleetapi.Explanation) error {
	verdict := "ALLOWED"
	if !e.Allowed {
		verdict = "REFUSED"
	}
	fmt.Fprintf(w, "%s by the rule %s\n\n", verdict, e.Rule)
	checks := newTable("CHECK", "PASSED", "DETAIL")
	for _, check := range e.Checks {
		passed := "yes"
		if !check.Passed {
			passed = "NO"
		}
		checks.add(check.Name, passed, check.Detail)
	}
	if err := checks.print(w); err != nil {
		return err
	}
	fmt.Fprintln(w)
	facts := &table{}
	facts.add("client", e.ClientID)
	if e.Issuer != "" {
		facts.add("issuer", e.Issuer)
	}
	if e.Grant != "" {
		facts.add("grant", e.Grant)
	}
	if !e.Allowed {
		facts.add("on the wire", fmt.Sprintf("MQTT 5: %s; 3.1.1: %s", wireCode(e.ReasonCode), wireCode(e.ReturnCode)))
		facts.add("fix", e.Fix)
	}
	for i, grant := range e.Grants {
		name := ""
		if i == 0 {
			name = "all grants"
		}
		facts.rows = append(facts.rows, []string{name, printable(grant)})
	}
	return facts.print(w)
}

// wireCode shows a code as the client is told it; 0 is no refusal, so nothing is said.
func wireCode(code int) string {
	if code == 0 {
		return "not told"
	}
	return fmt.Sprintf("0x%02x", code)
}

func runExplainLast(ctx context.Context, a *app, args []string, opts explainOptions) error {
	if len(args) > 0 {
		return usagef("boomgate explain", "--last stands alone")
	}
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	answer, err := api.do(ctx, apiCall{method: http.MethodGet, path: explainPath + "/last", query: url.Values{"client_id": {opts.last}}})
	if err != nil {
		return err
	}
	list, err := decode[struct {
		Items []json.RawMessage `json:"items"`
	}](answer)
	if err != nil {
		return err
	}
	columns := []string{"TIME", "WHAT", "RULE", "CODE", "MQTT CLIENT ID", "REMOTE", "TOPIC", "DETAIL", "IDENTITY"}
	return printList(a, opts.format, "refusals", columns, refusalRow, func(visit func([]json.RawMessage) error) error {
		return visit(list.Items)
	})
}

func refusalRow(r fleetapi.Refusal) []string {
	identity := "proven"
	if !r.Verified {
		identity = "claimed"
	}
	return []string{clock(r.Time), r.Kind, r.Rule, wireCode(r.ReasonCode), r.MQTTClientID, r.Remote, r.Topic, r.Detail, identity}
}
