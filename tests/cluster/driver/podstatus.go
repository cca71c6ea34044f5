package main

import (
	"context"
	"regexp"
	"sort"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// podStatus is a SecretProviderClassPodStatus: which versions of which objects
// a pod has mounted. It has no status subresource.
type podStatus struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Status            mountStatus `json:"status"`
}

type mountStatus struct {
	PodName    string          `json:"podName"`
	ClassName  string          `json:"secretProviderClassName"`
	Mounted    bool            `json:"mounted"`
	TargetPath string          `json:"targetPath"`
	Objects    []mountedObject `json:"objects"`
}

type mountedObject struct {
	ID      string `json:"id"`
	Version string `json:"version"`
}

// mounted is what a publish knows of the volume it mounted.
type mounted struct {
	namespace, pod, podUID, class, targetPath string
	versions                                  map[string]string
}

// recordMount creates the pod's status, or updates the one that is there. Two
// volumes of one pod with one class share an object: the second overwrites.
func (c *cluster) recordMount(ctx context.Context, m mounted) error {
	fresh := &podStatus{
		TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: statusKind},
		ObjectMeta: metav1.ObjectMeta{
			Name:      m.pod + "-" + m.namespace + "-" + m.class,
			Namespace: m.namespace,
			Labels:    map[string]string{nodeLabel: c.node},
			// The pod owns it, so that it is collected with the pod.
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "v1", Kind: "Pod", Name: m.pod, UID: types.UID(m.podUID),
			}},
		},
		Status: mountStatus{
			PodName: m.pod, ClassName: m.class, Mounted: true,
			TargetPath: m.targetPath, Objects: sortedObjects(m.versions),
		},
	}
	object, err := toUnstructured(fresh)
	if err != nil {
		return err
	}
	client := c.dynamic.Resource(statuses).Namespace(m.namespace)
	_, err = client.Create(ctx, object, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	present, err := client.Get(ctx, fresh.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	labels := present.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[nodeLabel] = c.node
	present.SetLabels(labels)
	present.SetOwnerReferences(fresh.OwnerReferences)
	present.Object["status"] = object.Object["status"]
	// An update that changes nothing moves no resource version and wakes nobody.
	_, err = client.Update(ctx, present, metav1.UpdateOptions{})
	return err
}

// updateObjects replaces the versions of a status that rotation read before.
func (c *cluster) updateObjects(ctx context.Context, status *podStatus) error {
	status.APIVersion, status.Kind = apiVersion, statusKind
	object, err := toUnstructured(status)
	if err != nil {
		return err
	}
	_, err = c.dynamic.Resource(statuses).Namespace(status.Namespace).Update(ctx, object, metav1.UpdateOptions{})
	return err
}

func toUnstructured(object any) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	return &unstructured.Unstructured{Object: content}, err
}

// sortedObjects lists versions by id.
func sortedObjects(versions map[string]string) []mountedObject {
	objects := make([]mountedObject, 0, len(versions))
	for id, version := range versions {
		objects = append(objects, mountedObject{ID: id, Version: version})
	}
	sort.Slice(objects, func(i, j int) bool { return objects[i].ID < objects[j].ID })
	return objects
}

var targetPath = regexp.MustCompile(`/pods/([^/]+)/volumes/kubernetes\.io~csi/([^/]+)/mount`)

// belongsTo tells whether the mounted path is that volume of that pod.
func (s *podStatus) belongsTo(pod *corev1.Pod, volume *corev1.Volume) (uid, name bool) {
	found := targetPath.FindStringSubmatch(s.Status.TargetPath)
	if found == nil {
		return false, false
	}
	return found[1] == string(pod.UID), found[2] == volume.Name
}

// classVolume finds the pod's volume of this driver that names the class.
func classVolume(pod *corev1.Pod, driver, class string) *corev1.Volume {
	for i := range pod.Spec.Volumes {
		csi := pod.Spec.Volumes[i].CSI
		if csi != nil && csi.Driver == driver && csi.VolumeAttributes["secretProviderClass"] == class {
			return &pod.Spec.Volumes[i]
		}
	}
	return nil
}

// hasEnded tells of pods that are neither synced nor rotated any more.
func hasEnded(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}
