package main

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
)

// podsOf selects the pods of one node: no other pod is ever seen.
func podsOf(node string) fields.Selector {
	return fields.OneTermEqualSelector("spec.nodeName", node)
}

// informer keeps a cache of all objects of a kind, in every namespace.
func informer(source cache.ListerWatcher, kind runtime.Object) cache.SharedIndexInformer {
	return cache.NewSharedIndexInformer(source, kind, 0, cache.Indexers{})
}

func listWatch(client dynamic.Interface, resource schema.GroupVersionResource, labels string) *cache.ListWatch {
	objects := client.Resource(resource)
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.LabelSelector = labels
			return objects.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.LabelSelector = labels
			return objects.Watch(ctx, options)
		},
	}
}
