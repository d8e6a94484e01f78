// Package catalog is the documented knowledge: operations with their impact and
// recovery, and the profiles of the providers that document them. It knows no
// check; each check decodes its own kind of rule with Rules.
package catalog
