package fleetapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/boomgate/boomgate/provisioning"
)

// RoleProposal is a change of a role that is not made yet.
type RoleProposal struct {
	Grants []Grant `json:"grants,omitempty" nullable:"false" maxItems:"256" doc:"The rights that the role would give, in place of those that it gives."`
	Delete bool    `json:"delete,omitempty" doc:"In place of grants: the role would be deleted."`
}

// RolePreview is a part of what a change of a role would do.
type RolePreview struct {
	Items      []ClientDiff `json:"items" nullable:"false" doc:"The clients of this part whose rights would change, in order of their IDs."`
	Unchanged  int          `json:"unchanged" example:"3" doc:"How many clients of this part have the role and would keep their rights as they are."`
	NextCursor string       `json:"next_cursor,omitempty" example:"c2Vuc29yLWIyLTAxNw" doc:"Send it as ?cursor= for the next part; absent in the last."`
}

// ClientDiff is what a client would gain and lose.
type ClientDiff struct {
	ID    string  `json:"id" example:"sensor-b2-017" doc:"The client ID."`
	Gains []Grant `json:"gains" nullable:"false" doc:"The rights that it has not and would have, placeholders filled in."`
	Loses []Grant `json:"loses" nullable:"false" doc:"The rights that it has and would have no more, placeholders filled in."`
}

// Inputs and outputs of the previews.
type (
	previewRoleInput struct {
		ID       string   `path:"id" example:"site-reader" doc:"The role's ID."`
		Scope    []string `query:"scope,explode" nullable:"false" maxItems:"256" example:"[\"sub:parking/v1/{labels.site}/#\"]" doc:"A scope that the role would give for the audience. May be repeated. They would take the place of those that it gives for that audience; its other audiences stay."`
		Audience string   `query:"audience" default:"boomgate:mqtt" maxLength:"256" doc:"Whom the scopes are for."`
		Delete   bool     `query:"delete" doc:"In place of scopes: the role would be deleted."`
		Limit    int      `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many clients to look at."`
		Cursor   string   `query:"cursor" maxLength:"1024" doc:"next_cursor of the part before; keep the other parameters as they were."`

		url url.URL
	}
	previewProposalInput struct {
		ID     string `path:"id" example:"site-reader" doc:"The role's ID."`
		Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many clients to look at."`
		Cursor string `query:"cursor" maxLength:"1024" doc:"next_cursor of the part before; keep everything else as it was."`
		Body   RoleProposal
	}

	previewOutput struct {
		Link string `header:"Link" doc:"The next part, rel=next (RFC 8288); absent in the last."`
		Body RolePreview
	}
	proposalOutput struct{ Body RolePreview }
)

// Resolve keeps the URL for the link to the next part.
func (in *previewRoleInput) Resolve(ctx huma.Context) []error {
	in.url = ctx.URL()
	return nil
}

func (a *API) registerPreviews() {
	const what = "Shows which clients that have the role would gain and lose what, if it changed so; nothing is changed. " +
		"A right that another one covers is no difference. Clients come in order of their IDs, part by part. "
	path, example := rolesPath+"/{id}/preview", previewExample()
	problems := []problemType{notFound, builtInRole}
	register(a, operation{
		id: "preview-role", method: http.MethodGet, path: path, scope: "roles:read", tag: "roles", status: http.StatusOK,
		summary: "Preview a change of a role", description: what + "Name the scopes of one audience, or delete=true.",
		answer: example, problems: problems,
	}, a.previewRole)
	register(a, operation{
		id: "preview-role-change", method: http.MethodPost, path: path, scope: "roles:read", tag: "roles", status: http.StatusOK,
		summary: "Preview new grants of a role", description: what + "The body holds all the grants that the role would have.",
		request: RoleProposal{Grants: []Grant{{provisioning.AudienceMQTT, []string{"sub:parking/v1/{labels.site}/#"}}}},
		answer:  example, problems: problems,
	}, a.previewProposal)
}

func (a *API) previewRole(ctx context.Context, in *previewRoleInput) (*previewOutput, error) {
	role, err := a.findRole(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if in.Delete == (len(in.Scope) > 0) {
		return nil, invalid.problem(countFields(1)).at("query.scope", "give either scopes or delete=true")
	}
	proposal := provisioning.RoleProposal{Delete: in.Delete}
	if !in.Delete {
		proposal.Grants = append(slices.DeleteFunc(role.Grants, func(g provisioning.Grant) bool { return g.Audience == in.Audience }),
			provisioning.Grant{Audience: in.Audience, Scopes: in.Scope})
	}
	preview, err := a.preview(ctx, in.ID, proposal, in.Cursor, in.Limit)
	if err != nil {
		return nil, previewFaults(err, func(string) string { return "query.scope" })
	}
	return &previewOutput{nextLink(in.url, preview.NextCursor), preview}, nil
}

func (a *API) previewProposal(ctx context.Context, in *previewProposalInput) (*proposalOutput, error) {
	if _, err := a.findRole(ctx, in.ID); err != nil {
		return nil, err
	}
	if in.Body.Delete && len(in.Body.Grants) > 0 {
		return nil, invalid.problem(countFields(1)).at("body.delete", "goes without grants")
	}
	proposal := provisioning.RoleProposal{Grants: domainGrants(in.Body.Grants), Delete: in.Body.Delete}
	preview, err := a.preview(ctx, in.ID, proposal, in.Cursor, in.Limit)
	if err != nil {
		return nil, previewFaults(err, func(field string) string { return "body." + field })
	}
	return &proposalOutput{preview}, nil
}

func (a *API) preview(ctx context.Context, id string, change provisioning.RoleProposal, cursor string, limit int) (RolePreview, error) {
	found, err := a.registry.PreviewRole(ctx, id, change, cursor, limit)
	if err != nil {
		return RolePreview{}, err
	}
	preview := RolePreview{Items: make([]ClientDiff, len(found.Clients)), Unchanged: found.Unchanged, NextCursor: found.Next}
	for i, diff := range found.Clients {
		preview.Items[i] = ClientDiff{diff.ID, grantsOf(diff.Gains), grantsOf(diff.Loses)}
	}
	return preview, nil
}

// previewFaults says where in the request the faults are: those of the grants
// where asked, those of the paging in the query.
func previewFaults(err error, grants func(field string) string) error {
	faults, ok := errors.AsType[*provisioning.InvalidError](err)
	if !ok {
		return err
	}
	p := invalid.problem(countFields(len(faults.Fields)))
	for _, f := range faults.Fields {
		if strings.HasPrefix(f.Field, "grants") {
			p = p.at(grants(f.Field), f.Message)
		} else {
			p = p.at("query."+f.Field, f.Message)
		}
	}
	return p
}
