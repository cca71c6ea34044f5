// Command readers reads files with Go's readers: readers READER FILE...
// It prints a line of JSON per file: its name and {name: value}, both in hex, or the error.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	compose "github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/joho/godotenv"
	"github.com/sirupsen/logrus"
	"gopkg.in/yaml.v3"
)

type values map[string]string

func into(read func([]byte, any) error) func(string) (values, error) {
	return func(path string) (values, error) {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		found := map[string]any{}
		if err := read(text, &found); err != nil {
			return nil, err
		}
		strings := values{}
		for name, value := range found {
			text, ok := value.(string)
			if !ok {
				return nil, fmt.Errorf("a %T, not a string", value)
			}
			strings[name] = text
		}
		return strings, nil
	}
}

var readers = map[string]func(string) (values, error){
	"godotenv":      func(path string) (values, error) { return godotenv.Read(path) },
	"compose-go":    func(path string) (values, error) { return compose.Read(path) },
	"yaml.v3":       into(yaml.Unmarshal),
	"encoding-json": into(json.Unmarshal),
}

func main() {
	logrus.SetLevel(logrus.ErrorLevel)
	read := readers[os.Args[1]]
	out := json.NewEncoder(os.Stdout)
	for _, path := range os.Args[2:] {
		answer := map[string]any{"file": filepath.Base(path)}
		if found, err := read(path); err != nil {
			answer["error"] = err.Error()[:min(300, len(err.Error()))]
		} else {
			hexed := values{}
			for name, value := range found {
				hexed[hex.EncodeToString([]byte(name))] = hex.EncodeToString([]byte(value))
			}
			answer["values"] = hexed
		}
		if err := out.Encode(answer); err != nil {
			panic(err)
		}
	}
}
