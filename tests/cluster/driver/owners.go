package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
)

// runOwners gives synced Secrets their owners every 5 s, so that Kubernetes
// deletes a Secret when the last of them is gone.
func (s *syncer) runOwners(ctx context.Context) {
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := s.patchOwners(ctx); err != nil {
				klog.ErrorS(err, "failed to patch secret owner ref")
			}
		}
	}
}

// patchOwners goes through all pod statuses of the node. One whose class or pod
// cannot be read ends the whole run.
func (s *syncer) patchOwners(ctx context.Context) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	owners := map[types.NamespacedName][]metav1.OwnerReference{}
	for _, object := range s.cluster.statuses.GetStore().List() {
		status := new(podStatus)
		if err := fromUnstructured(object, status); err != nil {
			return err
		}
		class, err := s.cluster.class(status.Namespace, status.Status.ClassName)
		if err != nil {
			return fmt.Errorf("failed to get spc %s, err: %w", status.Status.ClassName, err)
		}
		pod, err := s.cluster.pod(status.Namespace, status.Status.PodName)
		if err != nil {
			return fmt.Errorf("failed to fetch pod during patching, err: %w", err)
		}
		for _, wanted := range class.Spec.SecretObjects {
			name := types.NamespacedName{Namespace: status.Namespace, Name: wanted.SecretName}
			owners[name] = append(owners[name], ownersOf(pod, status)...)
		}
	}
	for name, references := range owners {
		if err := repeat(func() error { return s.addOwners(ctx, name, references) }); err != nil {
			return err
		}
	}
	return nil
}

// ownersOf are the pod's owners (a ReplicaSet, a Job), or, for a bare pod, its
// status, which the pod owns.
func ownersOf(pod *corev1.Pod, status *podStatus) []metav1.OwnerReference {
	var owners []metav1.OwnerReference
	for _, owner := range pod.OwnerReferences {
		owners = append(owners, metav1.OwnerReference{
			APIVersion: owner.APIVersion, Kind: owner.Kind, UID: owner.UID, Name: owner.Name,
		})
	}
	if owners == nil {
		owners = []metav1.OwnerReference{{
			APIVersion: apiVersion, Kind: statusKind, UID: status.UID, Name: status.Name,
		}}
	}
	return owners
}

// addOwners adds the owners that a Secret of the driver's lacks, by name. One
// that does not exist yet is left to a later run.
func (s *syncer) addOwners(ctx context.Context, name types.NamespacedName, owners []metav1.OwnerReference) error {
	secret, err := s.cluster.labelledSecret(ctx, name.Namespace, name.Name, managedLabel)
	if err != nil {
		return ignoreNotFound(err)
	}
	known := map[string]bool{}
	for _, owner := range secret.OwnerReferences {
		known[owner.Name] = true
	}
	added := secret.OwnerReferences
	for _, owner := range owners {
		if !known[owner.Name] {
			known[owner.Name] = true
			added = append(added, owner)
		}
	}
	if len(added) == len(secret.OwnerReferences) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"ownerReferences": added, "resourceVersion": secret.ResourceVersion,
	}})
	if err != nil {
		return err
	}
	_, err = s.cluster.core.Secrets(name.Namespace).Patch(ctx, name.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if apierrors.IsForbidden(err) {
		klog.Warning("secrets are forbidden: is syncing them enabled?")
	}
	return err
}
