package fleetapi

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page and its style
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html
var docsPage string

//go:embed docs.css
var docsStyle string

// docsView is what the page shows: the OpenAPI document, for people. The page
// is whole in itself: it loads nothing and runs nothing.
type docsView struct {
	Title, Version string
	Style          template.CSS
	Conventions    []docsParagraph
	Groups         []docsGroup
	Problems       []problemType
}

type docsParagraph struct{ Lead, Text string }

type docsGroup struct {
	Name, Description string
	Operations        []docsOperation
}

type docsOperation struct {
	ID, Method, Path, Summary, Description, Scope, Status string
	Parameters                                            []string
	Request, Answer                                       string
}

// renderDocs writes the page and the Content-Security-Policy that goes with it.
func renderDocs(spec *huma.OpenAPI) (page []byte, policy string, err error) {
	view := docsView{
		Title: spec.Info.Title, Version: spec.Info.Version, Problems: problemTypes,
		Style: template.CSS(docsStyle), //nolint:gosec // a file of this package
	}
	for text := range strings.SplitSeq(spec.Info.Description, "\n\n") {
		view.Conventions = append(view.Conventions, paragraph(text))
	}
	for _, tag := range spec.Tags {
		group := docsGroup{Name: tag.Name, Description: tag.Description}
		if group.Operations, err = docsOperations(spec, tag.Name); err != nil {
			return nil, "", err
		}
		view.Groups = append(view.Groups, group)
	}
	tmpl, err := template.New("docs").Parse(docsPage)
	if err != nil {
		return nil, "", err
	}
	var out bytes.Buffer
	if err := tmpl.Execute(&out, view); err != nil {
		return nil, "", err
	}
	hash := sha256.Sum256([]byte(docsStyle))
	policy = fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		base64.StdEncoding.EncodeToString(hash[:]))
	return out.Bytes(), policy, nil
}

// paragraph takes the words in ** from the beginning of a text.
func paragraph(text string) docsParagraph {
	if rest, ok := strings.CutPrefix(text, "**"); ok {
		if lead, rest, ok := strings.Cut(rest, "**"); ok {
			return docsParagraph{lead, rest}
		}
	}
	return docsParagraph{"", text}
}

// docsOperations returns the operations of a tag, by path, in the order in which
// people read methods.
func docsOperations(spec *huma.OpenAPI, tag string) ([]docsOperation, error) {
	var operations []docsOperation
	for path, item := range spec.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Patch, item.Delete} {
			if op == nil || !slices.Contains(op.Tags, tag) {
				continue
			}
			shown, err := docsOperationOf(path, op)
			if err != nil {
				return nil, err
			}
			operations = append(operations, shown)
		}
	}
	methods := []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete}
	slices.SortFunc(operations, func(x, y docsOperation) int {
		if c := strings.Compare(x.Path, y.Path); c != 0 {
			return c
		}
		return slices.Index(methods, x.Method) - slices.Index(methods, y.Method)
	})
	return operations, nil
}

func docsOperationOf(path string, op *huma.Operation) (docsOperation, error) {
	shown := docsOperation{
		ID: op.OperationID, Method: op.Method, Path: path, Summary: op.Summary, Description: op.Description,
		Scope: requiredScope(op), Status: fmt.Sprint(op.DefaultStatus),
	}
	for _, p := range op.Parameters {
		if p.In != "path" {
			shown.Parameters = append(shown.Parameters, p.Name)
		}
	}
	var err error
	if shown.Answer, err = indented(op.Responses[shown.Status].Content); err != nil {
		return docsOperation{}, err
	}
	if op.RequestBody != nil {
		shown.Request, err = indented(op.RequestBody.Content)
	}
	return shown, err
}

func indented(content map[string]*huma.MediaType) (string, error) {
	text, err := json.MarshalIndent(content[mediaJSON].Example, "", "  ")
	return string(text), err
}
