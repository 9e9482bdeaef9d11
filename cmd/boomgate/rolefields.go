package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/boomgate/boomgate/provisioning"
)

// maxRoleFileSize bounds what is read as a role, in bytes.
const maxRoleFileSize = 1 << 20

// roleFields are the parts of a role that create sets and update changes.
type roleFields struct {
	description string
	scopes      []string
	audience    string
	limits      []string
	file        string
}

func (f *roleFields) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.description, "description", "", "what the role is for")
	flags.StringArrayVar(&f.scopes, "scope", nil, "`scope` that it grants, such as 'pub:plant/{client_id}/#'; repeatable")
	flags.StringVar(&f.audience, "audience", provisioning.AudienceMQTT, "`audience` of --scope")
	flags.StringArrayVar(&f.limits, "limit", nil, "limit of whoever has the role, as `name=number` ("+strings.Join(limitNames(), ", ")+"); repeatable")
	flags.StringVar(&f.file, "file", "", "`file` with the role as JSON or YAML, as show -o json prints it; - reads standard input")
	completeFrom(cmd, "audience", provisioning.AudienceMQTT, provisioning.AudienceFleet)
	cmd.MarkFlagsMutuallyExclusive("file", "scope")
	cmd.MarkFlagsMutuallyExclusive("file", "description")
	cmd.MarkFlagsMutuallyExclusive("file", "limit")
}

// roleBody is a role as the fleet API takes it.
type roleBody struct {
	ID          string               `json:"id,omitempty" yaml:"id"`
	Description string               `json:"description,omitempty" yaml:"description"`
	Grants      []provisioning.Grant `json:"grants" yaml:"grants"`
	Limits      map[string]int       `json:"limits,omitempty" yaml:"limits"`
}

// roleFile is a role as a file holds it; what show prints beside the body is let through and left out.
type roleFile struct {
	roleBody `yaml:",inline"`

	BuiltIn   any `yaml:"built_in"`
	Version   any `yaml:"version"`
	CreatedAt any `yaml:"created_at"`
	UpdatedAt any `yaml:"updated_at"`
}

// create turns the fields into the body that creates a role.
func (f *roleFields) create(a *app, id string) (roleBody, error) {
	if f.file == "" {
		limits, err := parseLimits("boomgate roles create", f.limits)
		return roleBody{
			ID: id, Description: f.description, Limits: limits,
			Grants: []provisioning.Grant{{Audience: f.audience, Scopes: f.scopes}},
		}, err
	}
	body, err := readRole(a, f.file)
	if id != "" {
		body.ID = id
	}
	return body, err
}

// readRole reads a role from a file; JSON is YAML, too.
func readRole(a *app, name string) (roleBody, error) {
	source := a.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return roleBody{}, fmt.Errorf("open the role: %w", err)
		}
		defer func() { _ = file.Close() }()
		source = file
	}
	var role roleFile
	decoder := yaml.NewDecoder(io.LimitReader(source, maxRoleFileSize))
	decoder.KnownFields(true)
	if err := decoder.Decode(&role); err != nil {
		return roleBody{}, withHint(fmt.Errorf("read the role from %s: %w", name, err), "boomgate roles show parking-sensor -o json prints one to begin with")
	}
	return role.roleBody, nil
}

// patch turns the fields that were given into a merge patch (RFC 7396) of the role.
func (f *roleFields) patch(a *app, given *pflag.FlagSet, role provisioning.Role) (map[string]any, error) {
	patch := map[string]any{}
	if f.file != "" {
		body, err := readRole(a, f.file)
		if err != nil {
			return nil, err
		}
		if body.ID != "" && body.ID != role.ID {
			return nil, fmt.Errorf("%s is the role %q, not %q", f.file, body.ID, role.ID)
		}
		return map[string]any{"description": body.Description, "grants": body.Grants, "limits": wholeLimits(body.Limits)}, nil
	}
	if given.Changed("description") {
		patch["description"] = f.description
	}
	if given.Changed("scope") {
		patch["grants"] = replaceGrant(role.Grants, provisioning.Grant{Audience: f.audience, Scopes: orNone(f.scopes)})
	}
	if given.Changed("limit") {
		limits, err := parseLimits("boomgate roles update", f.limits)
		if err != nil {
			return nil, err
		}
		patch["limits"] = limitsPatch(limits)
	}
	return patch, nil
}
