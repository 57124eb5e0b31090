package functions_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// These tests hold openapi.yaml to what generators of clients can read. Kiota and NSwag make
// classes that lose fields, or send values that nobody meant, of schemas that are correct but do not
// follow these rules. functions/clients runs the clients of other generators.

// tree is openapi.yaml as it is written, because parsing it as OpenAPI hides what stands beside $ref.
type tree = map[string]any

func readTree(t *testing.T) tree {
	t.Helper()
	data, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return parseTree(t, string(data))
}

func parseTree(t *testing.T, text string) (doc tree) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestGeneratorsCanReadTheDocument(t *testing.T) {
	c := clientRules{doc: readTree(t)}
	c.document()
	for _, m := range c.mistakes {
		t.Error(m)
	}
	if c.properties < 40 || c.parameters < 20 {
		t.Errorf("only %d properties of requests and %d parameters were looked at", c.properties, c.parameters)
	}
}

// NSwag takes the first media type of a body, and sends JSON whatever that is.
func TestJSONComesFirst(t *testing.T) {
	data, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			RequestBody struct{ Content yaml.Node } `yaml:"requestBody"`
		}
	}
	text, _, _ := strings.Cut(string(data), "\nwebhooks:\n") // what others receive
	text = pathParameters.ReplaceAllString(text, "")         // which are no operation
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	bodies := 0
	for path, item := range doc.Paths {
		for method, operation := range item {
			if content := operation.RequestBody.Content.Content; len(content) > 0 {
				bodies++
				if len(content) == 2 { // one key and its value: no JSON at all, which is for libraries of OAuth
					continue
				}
				if content[0].Value != "application/json" {
					t.Errorf("%s %s: %s comes before application/json", method, path, content[0].Value)
				}
			}
		}
	}
	if bodies < 8 {
		t.Errorf("only %d bodies were looked at", bodies)
	}
}

var pathParameters = regexp.MustCompile(`(?m)^    parameters:\n(?:      - .*\n)+`)

// Every rule finds what it is there for.
func TestGeneratorRules(t *testing.T) {
	const rest = `
servers: [{url: /}]
components:
  schemas:
    Kind: {type: string, enum: [a, b]}
    Base: {type: object, properties: {a: {type: string}}}
`
	for schema, want := range map[string]string{
		`{type: object, required: [a], properties: {a: {type: string}, b: {type: [string, 'null']}, c: {oneOf: [{$ref: '#/components/schemas/Kind'}, {type: 'null'}], description: x}}}`: "",

		`{$ref: '#/components/schemas/Base', required: [a]}`:                                                  "beside $ref",
		`{allOf: [{$ref: '#/components/schemas/Base'}]}`:                                                      "allOf",
		`{type: object, oneOf: [{required: [a]}], properties: {a: {type: [string, 'null']}}}`:                 "oneOf",
		`{type: object, properties: {a: {type: string}}}`:                                                     "a is optional",
		`{type: object, properties: {a: {$ref: '#/components/schemas/Kind'}}}`:                                "a is optional",
		`{type: object, properties: {a: {type: [string, 'null'], enum: [a, b, null]}}}`:                       "a has an enumeration of its own",
		`{type: object, required: [a], properties: {a: {type: [string, 'null']}}}`:                            "a is required",
		`{type: object, required: [b], properties: {a: {type: [string, 'null']}}}`:                            "b is required and not among the properties",
		`{type: object, properties: {a: {type: [boolean, 'null'], default: false}}}`:                          "default",
		`{type: object, required: [a], properties: {a: {type: string, enum: [a, b], default: a}}}`:            "default",
		`{type: object, required: [a], properties: {a: {$ref: '#/components/schemas/Kind', description: x}}}`: "beside $ref",
		`{type: object, required: [a], properties: {a: {enum: [a, b]}}}`:                                      "without type",
		`{type: object, required: [a], properties: {a: {type: object, properties: {b: {type: string}}}}}`:     "b is optional",
	} {
		c := clientRules{doc: parseTree(t, rest+"    Request: "+schema+`
paths:
  /api/x:
    post:
      operationId: x
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Request'}}}}
`)}
		c.document()
		if found := strings.Join(c.mistakes, "\n"); want == "" && found != "" || !strings.Contains(found, want) {
			t.Errorf("%s: %q, want %q", schema, found, want)
		}
	}
	for parameter, want := range map[string]string{
		`{name: a, in: query, schema: {type: [string, 'null']}}`:                      "cannot be null",
		`{name: a, in: query, schema: {type: integer, default: 50}}`:                  "default",
		`{name: a, in: query, schema: {oneOf: [{type: string}, {type: integer}]}}`:    "has no single type",
		`{name: a, in: query, schema: {$ref: '#/components/schemas/Kind', enum: []}}`: "beside $ref",
	} {
		c := clientRules{doc: parseTree(t, rest+`
paths:
  /api/x:
    get: {operationId: x, parameters: [`+parameter+`]}
`)}
		c.document()
		if found := strings.Join(c.mistakes, "\n"); !strings.Contains(found, want) {
			t.Errorf("%s: %q, want %q", parameter, found, want)
		}
	}
	c := clientRules{doc: tree{}}
	c.document()
	if len(c.mistakes) == 0 {
		t.Error("a document without servers is accepted")
	}
}

// clientRules collects what generators would misread in a document.
type clientRules struct {
	doc                    tree
	mistakes               []string
	properties, parameters int
}

func (c *clientRules) fail(format string, args ...any) {
	c.mistakes = append(c.mistakes, fmt.Sprintf(format, args...))
}

func (c *clientRules) document() {
	if servers, _ := c.doc["servers"].([]any); len(servers) == 0 {
		c.fail("servers: Kiota wants an entry")
	}
	c.everywhere("", c.doc)
	paths, _ := c.doc["paths"].(tree)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := paths[path].(tree)
		for _, method := range slices.Sorted(maps.Keys(item)) {
			if method == "parameters" {
				c.parametersOf(path, item)
				continue
			}
			operation, where := item[method].(tree), method+" "+path
			if operation["operationId"] == nil {
				c.fail("%s has no operationId, from which clients take the method's name", where)
			}
			c.parametersOf(where, operation)
			body, _ := operation["requestBody"].(tree)
			content, _ := body["content"].(tree)
			for _, mediaType := range slices.Sorted(maps.Keys(content)) {
				schema := content[mediaType].(tree)["schema"].(tree)
				if schema["$ref"] == nil {
					c.fail("%s: the schema of %s is not in components, so its class has no name", where, mediaType)
				}
				c.object(where, c.resolve(where, schema))
			}
		}
	}
}

// everywhere checks what holds in the whole document: a default is sent by clients as if somebody
// had meant it, and an enumeration without a type is any value.
func (c *clientRules) everywhere(where string, node any) {
	switch node := node.(type) {
	case []any:
		for i, element := range node {
			c.everywhere(fmt.Sprintf("%s/%d", where, i), element)
		}
	case tree:
		if _, ok := node["default"]; ok {
			c.fail("%s: default is sent by clients as if it were meant: say it in the description", where)
		}
		_, enum := node["enum"].([]any)
		_, constant := node["const"].(string)
		if (enum || constant) && node["type"] == nil {
			c.fail("%s: enum or const without type", where)
		}
		for _, key := range slices.Sorted(maps.Keys(node)) {
			if key != "example" && key != "examples" {
				c.everywhere(where+"/"+key, node[key])
			}
		}
	}
}

// resolve follows a reference, beside which nothing may stand: generators ignore it.
func (c *clientRules) resolve(where string, schema tree) tree {
	ref, ok := schema["$ref"].(string)
	if !ok {
		return schema
	}
	if len(schema) > 1 {
		c.fail("%s: generators ignore what stands beside $ref", where)
	}
	var node any = c.doc
	for _, name := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		node = node.(tree)[name]
	}
	return c.resolve(where, node.(tree))
}

// object checks a schema that requests are made of: flat, so that it becomes one class with all its
// fields.
func (c *clientRules) object(where string, schema tree) {
	for _, key := range slices.Sorted(maps.Keys(schema)) {
		if !slices.Contains([]string{"type", "description", "additionalProperties", "required", "properties"}, key) {
			c.fail("%s: %s in the object of a request: generators lose fields by it", where, key)
		}
	}
	properties, _ := schema["properties"].(tree)
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if properties[name.(string)] == nil {
			c.fail("%s: %v is required and not among the properties", where, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		c.properties++
		c.property(where, name, properties[name].(tree), slices.Contains(required, any(name)))
	}
}

// property checks that an optional property can be null, and that a required one cannot. Otherwise
// clients of typed languages have no way to leave it out, and send 0, false, an all-zero GUID or the
// first value of an enumeration.
func (c *clientRules) property(where, name string, schema tree, required bool) {
	nullable, own := false, schema
	if choices, ok := schema["oneOf"].([]any); ok && len(choices) == 2 {
		first, second := choices[0].(tree), choices[1].(tree)
		if nullable = second["type"] == "null" && first["$ref"] != nil; nullable {
			own = c.resolve(where+" "+name, first)
		}
	} else if types, ok := schema["type"].([]any); ok {
		nullable = len(types) == 2 && types[1] == "null"
		if schema["enum"] != nil {
			c.fail("%s: %s has an enumeration of its own: put it into components and refer to it", where, name)
		}
	} else {
		own = c.resolve(where+" "+name, schema)
	}
	switch {
	case required && nullable:
		c.fail("%s: %s is required and may be null", where, name)
	case !required && !nullable:
		c.fail("%s: %s is optional, and neither type: [T, 'null'] nor oneOf: [{$ref}, {type: 'null'}]", where, name)
	}
	if own["properties"] != nil {
		c.object(where+" "+name, own)
	}
}

func (c *clientRules) parametersOf(where string, of tree) {
	all, _ := of["parameters"].([]any)
	for _, one := range all {
		c.parameters++
		parameter := c.resolve(where, one.(tree))
		name := fmt.Sprint(where, " ", parameter["name"])
		schema := c.resolve(name, parameter["schema"].(tree))
		if _, ok := schema["type"].(string); ok {
			continue
		}
		if types, ok := schema["type"].([]any); ok && slices.Contains(types, any("null")) {
			c.fail("%s: a parameter cannot be null, it is left out", name)
			continue
		}
		c.fail("%s has no single type", name)
	}
}
