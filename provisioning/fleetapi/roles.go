package fleetapi

import (
	"context"
	"net/http"

	"github.com/boomgate/boomgate/provisioning"
)

const rolesPath = "/v1/roles"

// Inputs and outputs of the operations on roles.
type (
	listRolesInput  struct{}
	createRoleInput struct {
		IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" pattern:"^[!-~]+$" example:"8f2c0a54-roles" doc:"Repeat the request with the same key if its answer was lost: you get the same answer."`
		Body           NewRole
	}
	roleInput struct {
		ID string `path:"id" example:"site-reader" doc:"The role's ID."`
	}
	changeRoleInput struct {
		ID      string `path:"id" example:"site-reader" doc:"The role's ID."`
		IfMatch string `header:"If-Match" maxLength:"64" example:"\"1\"" doc:"The ETag that the record must have; absent for any."`
	}
	updateRoleInput struct {
		ID      string                   `path:"id" example:"site-reader" doc:"The role's ID."`
		IfMatch string                   `header:"If-Match" maxLength:"64" example:"\"1\"" doc:"The ETag that the record must have; absent for any."`
		Body    MergePatch[RoleSettings] `contentType:"application/merge-patch+json"`
	}

	rolePageOutput struct{ Body Page[Role] }
	roleOutput     struct {
		ETag string `header:"ETag" doc:"The record's version."`
		Body Role
	}
	updatedRoleOutput struct {
		ETag string `header:"ETag" doc:"The record's version."`
		Body UpdatedRole
	}
	createdRoleOutput struct {
		ETag     string `header:"ETag" doc:"The record's version."`
		Location string `header:"Location" doc:"The path of the record."`
		Replayed bool   `header:"Idempotent-Replayed" doc:"Whether this answer is the one that the first request with this Idempotency-Key had."`
		Body     Role
	}
)

func (a *API) registerRoles() {
	example := roleExample()
	settings := RoleSettings{example.Description, example.Grants, example.Limits}
	register(a, operation{
		id: "list-roles", method: http.MethodGet, path: rolesPath, scope: "roles:read", tag: "roles", status: http.StatusOK,
		summary: "List roles", description: "Lists all roles, built-in ones too, in order of their IDs.",
		answer: Page[Role]{Items: []Role{example}},
	}, a.listRoles)
	register(a, operation{
		id: "get-role", method: http.MethodGet, path: rolesPath + "/{id}", scope: "roles:read", tag: "roles", status: http.StatusOK,
		summary: "Show a role", description: "Shows a role and its grants.",
		answer: example, problems: []problemType{notFound},
	}, a.getRole)
	register(a, operation{
		id: "create-role", method: http.MethodPost, path: rolesPath, scope: "roles:write", tag: "roles", status: http.StatusCreated,
		summary:     "Create a role",
		description: "Creates a named set of grants. Rights on this API can only be put into a role by who holds them.",
		request:     NewRole{example.ID, settings}, answer: example, problems: []problemType{escalation, exists, keyReused},
	}, a.createRole)
	register(a, operation{
		id: "update-role", method: http.MethodPatch, path: rolesPath + "/{id}", scope: "roles:write", tag: "roles", status: http.StatusOK,
		summary: "Update a role",
		description: "Changes what the body names and keeps the rest. Rights that the role gives no more end at once for those who have it, " +
			"in live sessions too; new ones come with the next token. A preview shows beforehand whom it concerns.",
		request: RoleSettings{Description: example.Description}, answer: UpdatedRole{example, Receipt{Rejudged: 1}},
		problems: []problemType{escalation, notFound, conflict, builtInRole, versionMismatch},
	}, a.updateRole)
	register(a, operation{
		id: "delete-role", method: http.MethodDelete, path: rolesPath + "/{id}", scope: "roles:write", tag: "roles", status: http.StatusOK,
		summary: "Delete a role", description: "Deletes a role that no client has; so nothing ends with it.",
		answer: Removal{}, problems: []problemType{badRequest, notFound, conflict, roleInUse, builtInRole, versionMismatch},
	}, a.deleteRole)
}

func (a *API) findRole(ctx context.Context, id string) (*provisioning.Role, error) {
	role, err := a.registry.Role(ctx, id)
	if p := problemOf(err); p != nil && p.Status == http.StatusNotFound {
		return nil, notFound.problem("No role has this ID; GET " + rolesPath + " lists those there are.")
	}
	if err != nil {
		return nil, err
	}
	callOf(ctx).target = role.ID
	return role, nil
}

func (a *API) listRoles(ctx context.Context, _ *listRolesInput) (*rolePageOutput, error) {
	roles, err := a.registry.Roles(ctx)
	if err != nil {
		return nil, err
	}
	out := &rolePageOutput{Page[Role]{Items: make([]Role, len(roles))}}
	for i := range roles {
		out.Body.Items[i] = roleOf(&roles[i])
	}
	return out, nil
}

func (a *API) getRole(ctx context.Context, in *roleInput) (*roleOutput, error) {
	role, err := a.findRole(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &roleOutput{etag(role.Version), roleOf(role)}, nil
}

func (a *API) createRole(ctx context.Context, in *createRoleInput) (*createdRoleOutput, error) {
	out, replayed, err := once(ctx, a.replays, idempotent{in.IdempotencyKey, "create-role", "", in.Body},
		func() (*createdRoleOutput, error) { return a.doCreateRole(ctx, in.Body) })
	if err != nil {
		return nil, err
	}
	callOf(ctx).target = out.Body.ID
	again := *out
	again.Replayed = replayed
	return &again, nil
}

func (a *API) doCreateRole(ctx context.Context, n NewRole) (*createdRoleOutput, error) {
	grants := domainGrants(n.Grants)
	if err := mayHandOut(ctx, nil, fleetScopesOf(grants)); err != nil {
		return nil, err
	}
	role, err := a.service.CreateRole(ctx, provisioning.NewRole{
		ID: n.ID, Description: n.Description, Grants: grants, Limits: provisioning.Limits(n.Limits),
	})
	if err != nil {
		return nil, err
	}
	return &createdRoleOutput{ETag: etag(role.Version), Location: rolesPath + "/" + role.ID, Body: roleOf(role)}, nil
}

func (a *API) updateRole(ctx context.Context, in *updateRoleInput) (*updatedRoleOutput, error) {
	if _, err := a.findRole(ctx, in.ID); err != nil {
		return nil, err
	}
	version, err := expectedVersion(in.IfMatch)
	if err != nil {
		return nil, err
	}
	role, receipt, err := a.service.UpdateRole(ctx, in.ID, version, func(role *provisioning.Role) error {
		settings, err := in.Body.apply(RoleSettings{role.Description, grantsOf(role.Grants), Limits(role.Limits)})
		if err != nil {
			return err
		}
		has := fleetScopesOf(role.Grants)
		role.Description, role.Grants, role.Limits = settings.Description, domainGrants(settings.Grants), provisioning.Limits(settings.Limits)
		return mayHandOut(ctx, has, fleetScopesOf(role.Grants))
	})
	if err != nil {
		return nil, a.checkRoleVersion(ctx, err, in.ID, version)
	}
	return &updatedRoleOutput{etag(role.Version), UpdatedRole{roleOf(role), ended(ctx, receipt)}}, nil
}

func (a *API) deleteRole(ctx context.Context, in *changeRoleInput) (*removalOutput, error) {
	if _, err := a.findRole(ctx, in.ID); err != nil {
		return nil, err
	}
	version, err := expectedVersion(in.IfMatch)
	if err != nil {
		return nil, err
	}
	receipt, err := a.service.DeleteRole(ctx, in.ID, version)
	if err != nil {
		return nil, a.checkRoleVersion(ctx, err, in.ID, version)
	}
	return &removalOutput{Removal{ended(ctx, receipt)}}, nil
}

func (a *API) checkRoleVersion(ctx context.Context, err error, id string, ifVersion uint64) error {
	return checkVersion(ctx, err, ifVersion, func(ctx context.Context) (uint64, error) {
		role, err := a.findRole(ctx, id)
		if err != nil {
			return 0, err
		}
		return role.Version, nil
	})
}
