package fleetapi

import "net/http"

func (a *API) registerClients(k clientKind) {
	c, example := clients{a, k}, k.examples()
	c.registerReads(example)
	c.registerWrites(example)
	c.registerSwitches(example)
	c.registerSecrets(example)
}

func (c clients) registerReads(example clientExamples) {
	register(c.API, operation{
		id: "list-" + c.plural, method: http.MethodGet, path: c.path(), scope: c.read, tag: c.plural, status: http.StatusOK,
		summary: "List " + c.plural,
		description: "Lists " + c.plural + " in order of their IDs, part by part. What is created or deleted meanwhile may be in the " +
			"list or not; everything else is in it once.",
		answer: Page[Client]{Items: []Client{example.record}, NextCursor: "c2Vuc29yLWIyLTAxNw"},
	}, c.list)
	register(c.API, operation{
		id: "get-" + c.singular, method: http.MethodGet, path: c.path() + "/{id}", scope: c.read, tag: c.plural, status: http.StatusOK,
		summary:     "Show " + c.article + " " + c.singular,
		description: "Shows the record of " + c.article + " " + c.singular + ", without the texts of its secrets.",
		answer:      example.record, problems: []problemType{notFound},
	}, c.get)
}

func (c clients) registerWrites(example clientExamples) {
	register(c.API, operation{
		id: "create-" + c.singular, method: http.MethodPost, path: c.path(), scope: c.write, tag: c.plural, status: http.StatusCreated,
		summary: "Create " + c.article + " " + c.singular,
		description: "Creates " + c.article + " " + c.singular + " with one secret, which is shown in the answer and never again. " +
			"Rights on this API can only be given by who holds them.",
		request: example.creation, answer: example.credential,
		problems: []problemType{escalation, exists, keyReused},
	}, c.create)
	register(c.API, operation{
		id: "update-" + c.singular, method: http.MethodPatch, path: c.path() + "/{id}", scope: c.write, tag: c.plural, status: http.StatusOK,
		summary: "Update " + c.article + " " + c.singular,
		description: "Changes what the body names and keeps the rest. Rights that are taken away end at once, in live sessions too; " +
			"those that are given come with the next token. ID, kind, status and secrets are not changed here. " +
			"Whoever adds a certificate must hold the rights that the " + c.singular + " has on this API.",
		request: example.patch, answer: UpdatedClient{example.record, Receipt{Rejudged: 1}},
		problems: []problemType{escalation, notFound, conflict, lastOperator, tooManyRevocations, versionMismatch},
	}, c.update)
	register(c.API, operation{
		id: "delete-" + c.singular, method: http.MethodDelete, path: c.path() + "/{id}", scope: c.write, tag: c.plural, status: http.StatusOK,
		summary: "Delete " + c.article + " " + c.singular,
		description: "Retires " + c.article + " " + c.singular + " for good: its sessions, with their queues and wills, its retained messages, " +
			"its secrets and its tokens end at once. Its ID is never used again. To lock it out for a while, disable it.",
		answer:   Removal{example.receipt},
		problems: []problemType{badRequest, notFound, conflict, lastOperator, versionMismatch, incomplete},
	}, c.delete)
}

func (c clients) registerSwitches(example clientExamples) {
	register(c.API, operation{
		id: "disable-" + c.singular, method: http.MethodPost, path: c.path() + "/{id}/disable", scope: c.write, tag: c.plural,
		status: http.StatusOK, summary: "Disable " + c.article + " " + c.singular,
		description: "Refuses tokens and connections to " + c.article + " " + c.singular + " from now on, closes its sessions, and revokes the " +
			"tokens that it has, also for when it is enabled again. Disabling twice is no error.",
		answer:   ClientChange{example.disabled, example.receipt},
		problems: []problemType{badRequest, notFound, conflict, lastOperator, versionMismatch},
	}, c.disable)
	register(c.API, operation{
		id: "enable-" + c.singular, method: http.MethodPost, path: c.path() + "/{id}/enable", scope: c.write, tag: c.plural,
		status: http.StatusOK, summary: "Enable " + c.article + " " + c.singular,
		description: "Lets a disabled " + c.singular + " in again, with the secrets that it had. Enabling twice is no error.",
		answer:      ClientChange{Client: example.record},
		problems:    []problemType{badRequest, notFound, conflict, versionMismatch},
	}, c.enable)
	register(c.API, operation{
		id: "rotate-" + c.singular, method: http.MethodPost, path: c.path() + "/{id}/rotate", scope: c.write, tag: c.plural,
		status: http.StatusOK, summary: "Rotate the secret of " + c.article + " " + c.singular,
		description: "Draws a new secret, which is shown in the answer and never again. Without a body the present secrets end at once " +
			"and so do their tokens and live sessions; with an overlap both work for a while, so that a rotation needs no outage. " +
			"Whoever rotates must hold the rights that the " + c.singular + " has on this API.",
		request: Rotation{Overlap: 86400, Comment: "quarterly"}, answer: example.rotated,
		problems: []problemType{escalation, notFound, conflict, tooManyRevocations, keyReused, versionMismatch},
	}, c.rotate)
}
