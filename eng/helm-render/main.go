// Renders a Helm chart as `helm template` does, for tests on machines where there is no helm: the same template language and functions (text/template, sprig), the same check of
// values against values.schema.json. Not there: sub-charts, hooks' order, lookup, a cluster's own API versions.
//
//	helm-render [-f VALUES]... [-release NAME] [-namespace NAME] CHART
//
// Built with Debian's packages: GO111MODULE=off GOPATH=/usr/share/gocode go build main.go
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"github.com/xeipuuv/gojsonschema"
	"sigs.k8s.io/yaml"
)

// The depth at which an include that includes itself is given up.
const includesMax = 100

type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// What templates see as .Files.
type files map[string][]byte

func (f files) Get(name string) string { return string(f[name]) }

// What templates see as .Capabilities.APIVersions: none but what was named.
type versions []string

func (v versions) Has(name string) bool {
	for _, known := range v {
		if known == name {
			return true
		}
	}
	return false
}

func main() {
	var values, apis list
	flag.Var(&values, "f", "a file of values; later ones go before earlier ones")
	flag.Var(&apis, "api", "an API that the cluster has, as monitoring.coreos.com/v1")
	release := flag.String("release", "store", "the release's name")
	namespace := flag.String("namespace", "default", "the namespace")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), values, versions(apis), *release, *namespace); err != nil {
		fmt.Fprintln(os.Stderr, "helm-render:", err)
		os.Exit(1)
	}
}

func run(chart string, valueFiles []string, apis versions, release, namespace string) error {
	about, err := readMap(filepath.Join(chart, "Chart.yaml"))
	if err != nil {
		return err
	}
	values, err := readMap(filepath.Join(chart, "values.yaml"))
	if err != nil {
		return err
	}
	for _, file := range valueFiles {
		more, err := readMap(file)
		if err != nil {
			return err
		}
		values = merge(values, more)
	}
	if err := check(filepath.Join(chart, "values.schema.json"), values); err != nil {
		return err
	}

	all := files{}
	templates := map[string]string{}
	err = filepath.Walk(chart, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(chart, path)
		if strings.HasPrefix(name, "templates/") {
			templates[fmt.Sprintf("%v/%s", about["name"], name)] = string(content)
		} else {
			all[name] = content
		}
		return err
	})
	if err != nil {
		return err
	}

	// Helm gives the chart's own fields capitals.
	shown := map[string]interface{}{}
	for key, value := range about {
		shown[strings.ToUpper(key[:1])+key[1:]] = value
	}
	root := map[string]interface{}{
		"Values":  values,
		"Chart":   shown,
		"Files":   all,
		"Release": map[string]interface{}{"Name": release, "Namespace": namespace, "Service": "Helm", "IsInstall": true, "IsUpgrade": false, "Revision": 1},
		"Capabilities": map[string]interface{}{
			"APIVersions": apis,
			"KubeVersion": map[string]interface{}{"Version": "v1.29.0", "Major": "1", "Minor": "29"},
		},
	}
	set, err := parse(templates)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(templates))
	for name := range templates {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if strings.HasPrefix(filepath.Base(name), "_") {
			continue
		}
		root["Template"] = map[string]interface{}{"Name": name, "BasePath": filepath.Dir(name)}
		var out bytes.Buffer
		if err := set.ExecuteTemplate(&out, name, root); err != nil {
			return err
		}
		// Maps without a key print so; helm takes it out, and hides the mistake.
		if strings.Contains(out.String(), "<no value>") {
			return fmt.Errorf("%s uses a value that is not there", name)
		}
		if strings.TrimSpace(out.String()) == "" {
			continue
		}
		fmt.Printf("---\n# Source: %s\n%s\n", name, strings.TrimSpace(out.String()))
	}
	return nil
}

func parse(templates map[string]string) (*template.Template, error) {
	set := template.New("chart")
	functions := sprig.TxtFuncMap()
	delete(functions, "env")
	delete(functions, "expandenv")
	depth := 0
	functions["include"] = func(name string, data interface{}) (string, error) {
		if depth++; depth > includesMax {
			return "", fmt.Errorf("%s includes itself", name)
		}
		defer func() { depth-- }()
		var out strings.Builder
		err := set.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	functions["tpl"] = func(text string, data interface{}) (string, error) {
		copied, err := set.Clone()
		if err != nil {
			return "", err
		}
		parsed, err := copied.New("tpl").Parse(text)
		if err != nil {
			return "", err
		}
		var out strings.Builder
		err = parsed.Execute(&out, data)
		return out.String(), err
	}
	functions["required"] = func(message string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, errors.New(message)
		}
		return value, nil
	}
	functions["toYaml"] = func(value interface{}) (string, error) {
		out, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(out), "\n"), err
	}
	functions["fromYaml"] = func(text string) (map[string]interface{}, error) {
		out := map[string]interface{}{}
		return out, yaml.Unmarshal([]byte(text), &out)
	}
	set.Funcs(functions)
	for name, text := range templates {
		if _, err := set.New(name).Parse(text); err != nil {
			return nil, err
		}
	}
	return set, nil
}

func check(schema string, values map[string]interface{}) error {
	content, err := os.ReadFile(schema)
	if err != nil {
		return err
	}
	result, err := gojsonschema.Validate(gojsonschema.NewBytesLoader(content), gojsonschema.NewGoLoader(values))
	if err != nil {
		return err
	}
	if result.Valid() {
		return nil
	}
	var why []string
	for _, problem := range result.Errors() {
		why = append(why, problem.String())
	}
	return fmt.Errorf("values don't meet the specifications of values.schema.json: %s", strings.Join(why, "; "))
}

func readMap(file string) (map[string]interface{}, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	out := map[string]interface{}{}
	if err := yaml.UnmarshalStrict(content, &out); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return out, nil
}

// Maps are merged at any depth; null takes a key out; everything else replaces.
func merge(below, above map[string]interface{}) map[string]interface{} {
	for key, value := range above {
		if value == nil {
			delete(below, key)
			continue
		}
		inner, isMap := value.(map[string]interface{})
		known, wasMap := below[key].(map[string]interface{})
		if isMap && wasMap {
			below[key] = merge(known, inner)
		} else {
			below[key] = value
		}
	}
	return below
}
