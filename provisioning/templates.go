package provisioning

import "sync"

// maxTemplates bounds how many templates are kept.
const maxTemplates = 1024

// templateCache parses templates and keeps what it has parsed. What a template
// means is a matter of its text alone, so nothing here grows old.
type templateCache struct {
	language ScopeLanguage
	mu       sync.RWMutex
	parsed   map[string]ScopeTemplate
}

func (c *templateCache) parse(text string) (ScopeTemplate, error) {
	c.mu.RLock()
	template := c.parsed[text]
	c.mu.RUnlock()
	if template != nil {
		return template, nil
	}
	template, err := c.language.ParseTemplate(text)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parsed == nil || len(c.parsed) >= maxTemplates {
		c.parsed = map[string]ScopeTemplate{}
	}
	c.parsed[text] = template
	return template, nil
}
