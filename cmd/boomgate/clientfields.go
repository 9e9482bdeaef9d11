package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/boomgate/boomgate/provisioning"
)

// clientFields are the parts of a client that create sets and update changes.
type clientFields struct {
	labels        []string
	roles         []string
	scopes        []string
	audience      string
	attributes    []string
	mqttClientIDs []string
	tokenTTL      time.Duration

	certificates     []string
	certificateFiles []string
}

func (f *clientFields) addFlags(a *app, cmd *cobra.Command, kind clientKind, conn *connection) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.labels, "label", nil, "label as `key=value`; repeatable")
	flags.StringArrayVar(&f.roles, "role", nil, "`role` that it has; repeatable")
	flags.StringArrayVar(&f.scopes, "scope", nil, "`scope` of its own beside those of its roles, such as 'pub:a/#'; repeatable")
	flags.StringVar(&f.audience, "audience", kind.audience, "`audience` of --scope")
	flags.StringArrayVar(&f.attributes, "attribute", nil, "claim that its tokens carry, as `key=value`; repeatable")
	flags.StringArrayVar(&f.mqttClientIDs, "mqtt-client-id", nil,
		"`pattern` of the MQTT client IDs that it may connect with ('*' stands for any text); repeatable. Default: its own ID, or ID:suffix")
	flags.DurationVar(&f.tokenTTL, "token-ttl", 0, "life of its tokens, 1m to 24h (default: the server's)")
	flags.StringArrayVar(&f.certificates, "certificate", nil,
		"certificate that authenticates it at the token endpoint (RFC 8705), as `member=value`: "+strings.Join(certificateMembers, ", ")+"; repeatable")
	flags.StringArrayVar(&f.certificateFiles, "certificate-file", nil, "PEM `file` with such a certificate, known by its thumbprint; repeatable")
	_ = cmd.RegisterFlagCompletionFunc("role", completeIDs(a, conn, rolesPath))
	completeFrom(cmd, "audience", provisioning.AudienceMQTT, provisioning.AudienceFleet)
}

// newClient is the body that creates a client.
type newClient struct {
	ID              string               `json:"id,omitempty"`
	Name            string               `json:"name,omitempty"`
	Labels          map[string]string    `json:"labels,omitempty"`
	Roles           []string             `json:"roles,omitempty"`
	Grants          []provisioning.Grant `json:"grants,omitempty"`
	Attributes      map[string]string    `json:"attributes,omitempty"`
	TokenTTL        int64                `json:"token_ttl,omitempty"`
	MQTTClientIDs   []string             `json:"mqtt_client_ids,omitempty"`
	SecretExpiresAt *time.Time           `json:"secret_expires_at,omitempty"`
	Certificates    []map[string]string  `json:"certificates,omitempty"`
}

// create turns the fields into the body that creates a client.
func (f *clientFields) create() (newClient, error) {
	labels, err := parsePairs("--label", f.labels)
	if err != nil {
		return newClient{}, err
	}
	attributes, err := parsePairs("--attribute", f.attributes)
	if err != nil {
		return newClient{}, err
	}
	body := newClient{
		Labels: labels, Roles: f.roles, Attributes: attributes,
		MQTTClientIDs: f.mqttClientIDs, TokenTTL: int64(f.tokenTTL / time.Second),
	}
	if body.Certificates, err = certificateBodies(f.certificates, f.certificateFiles); err != nil {
		return newClient{}, err
	}
	if len(f.scopes) > 0 {
		body.Grants = []provisioning.Grant{{Audience: f.audience, Scopes: f.scopes}}
	}
	return body, nil
}

// patch turns the fields that were given into a merge patch (RFC 7396) of the record; in lists, a single empty text means none.
func (f *clientFields) patch(given *pflag.FlagSet, record provisioning.Client) (map[string]any, error) {
	patch := map[string]any{}
	for flag, member := range map[string]struct {
		key    string
		values []string
	}{"label": {"labels", f.labels}, "attribute": {"attributes", f.attributes}} {
		if !given.Changed(flag) {
			continue
		}
		changes, err := parseChanges("--"+flag, member.values)
		if err != nil {
			return nil, err
		}
		patch[member.key] = changes
	}
	if given.Changed("role") {
		patch["roles"] = orNone(f.roles)
	}
	if given.Changed("mqtt-client-id") {
		patch["mqtt_client_ids"] = orNone(f.mqttClientIDs)
	}
	if given.Changed("token-ttl") {
		patch["token_ttl"] = orNull(int64(f.tokenTTL / time.Second))
	}
	if given.Changed("certificate") || given.Changed("certificate-file") {
		certificates, err := certificateBodies(f.certificates, f.certificateFiles)
		if err != nil {
			return nil, err
		}
		patch["certificates"] = certificates
	}
	if given.Changed("scope") {
		patch["grants"] = replaceGrant(record.Grants, provisioning.Grant{Audience: f.audience, Scopes: orNone(f.scopes)})
	} else if given.Changed("audience") {
		return nil, fmt.Errorf("--audience says what --scope is for: give both")
	}
	return patch, nil
}

// replaceGrant puts a grant in the place of those on the same audience; a grant without scopes only removes them.
func replaceGrant(grants []provisioning.Grant, with provisioning.Grant) []provisioning.Grant {
	kept := slices.DeleteFunc(slices.Clone(grants), func(g provisioning.Grant) bool { return g.Audience == with.Audience })
	if len(with.Scopes) > 0 {
		kept = append(kept, with)
	}
	return append([]provisioning.Grant{}, kept...)
}

// orNone gives the list of a repeatable flag, in which a single empty text means an empty list.
func orNone(values []string) []string {
	if len(values) == 1 && values[0] == "" {
		return []string{}
	}
	return values
}

func orNull(number int64) any {
	if number == 0 {
		return nil
	}
	return number
}

// parsePairs reads key=value texts.
func parsePairs(flag string, texts []string) (map[string]string, error) {
	values := make(map[string]string, len(texts))
	for _, text := range texts {
		key, value, found := strings.Cut(text, "=")
		if !found || key == "" {
			return nil, fmt.Errorf("%s %q: use key=value", flag, text)
		}
		if _, twice := values[key]; twice {
			return nil, fmt.Errorf("%s %s is given twice", flag, key)
		}
		values[key] = value
	}
	return values, nil
}

// parseChanges reads key=value texts, and "key-" which removes the key (null in a merge patch).
func parseChanges(flag string, texts []string) (map[string]any, error) {
	changes := make(map[string]any, len(texts))
	for _, text := range texts {
		key, value, found := strings.Cut(text, "=")
		if removed, ok := strings.CutSuffix(text, "-"); ok && !found {
			changes[removed] = nil
			continue
		}
		if !found || key == "" {
			return nil, fmt.Errorf("%s %q: use key=value, or key- to remove it", flag, text)
		}
		changes[key] = value
	}
	return changes, nil
}
